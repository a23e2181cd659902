"""Foldings change no output of the float model, and turn the stream to its principal axes."""

import pytest
import torch

from golden.checkpoint.checkpoint import load
from golden.checkpoint.names import matrices
from golden.model.find_fold import find_fold
from golden.model.gradients import reached
from golden.model.llama import Model
from golden.model.prepare import fold
from golden.recipe.fold import FoldedCheckpoint
from tests.golden.make_checkpoints import SHAPE, random_model

IDS = [(7 * i * i + 3 * i) % SHAPE["vocab_size"] for i in range(100)]


@pytest.fixture(params=["llama", "tied", "qwen2", "qwen3"])
def checkpoint(request, seed, tmp_path):
    tied = request.param == "tied"
    kind = "llama" if tied else request.param
    random_model(kind, seed, tie_word_embeddings=tied).save_pretrained(tmp_path)
    return load(tmp_path)


def test_folds_cancel_out(checkpoint):
    folded = FoldedCheckpoint(checkpoint, find_fold(checkpoint, IDS))
    assert not folded.config.tied_head
    for name in folded.names():
        assert folded.tensor(name).shape == folded.shape(name)
        assert folded.tensor(name).dtype == torch.float32
    expected, got = Model(checkpoint).forward(IDS), Model(folded).forward(IDS)
    # Float32 rounds each sum anew: 2e-4 of the largest logit, where a wrong fold is off by all.
    assert (got - expected).abs().max() < 2e-4 * expected.abs().max()


def test_every_matrix_is_changed(checkpoint):
    folded = FoldedCheckpoint(checkpoint, find_fold(checkpoint, IDS))
    for name in matrices(checkpoint.config):
        before, after = checkpoint.tensor(name), folded.tensor(name)
        assert (after - before).abs().max() > 0.01 * before.abs().max(), name


def test_the_stream_lies_on_its_principal_axes(checkpoint):
    found = find_fold(checkpoint, IDS)
    assert torch.allclose(found.axes.T @ found.axes, torch.eye(40, dtype=torch.float64), atol=1e-12)
    sites = reached(Model(FoldedCheckpoint(checkpoint, found)), IDS)
    total = 0
    for site, d in found.scales.items():
        assert d.log().mean().abs() < 1e-9
        if not site.endswith((".o", ".down")):
            x = sites[site][0].double() / d
            total = total + x.T @ x
    variance = total.diagonal()
    assert (variance[:-1] >= variance[1:] * (1 - 1e-4)).all()  # largest first
    assert (total - variance.diag()).abs().max() < 1e-4 * variance.max()


def test_gradients_are_those_of_the_loss(checkpoint):
    x, g = reached(Model(checkpoint), IDS)["head"]
    head = checkpoint.tensor("lm_head")
    p = (x[:-1] @ head.T).softmax(dim=1)
    p[torch.arange(len(IDS) - 1), torch.tensor(IDS[1:])] -= 1
    assert torch.allclose(g[:-1], p @ head, atol=1e-4)
    assert not g[-1].any()  # the last token predicts nothing


def test_a_fold_is_the_same_each_time(stories260k):
    checkpoint = load(stories260k)
    text = "Once upon a time there was a dog. He was very happy, and he ran."
    first, again = (fold(checkpoint, text) for _ in range(2))
    assert all(torch.equal(first.tensor(name), again.tensor(name)) for name in first.names())
    assert fold(checkpoint, None) is checkpoint


def test_a_text_of_one_token_is_refused(stories260k):
    with pytest.raises(ValueError, match="^the text of a fold must have at least 2 tokens$"):
        find_fold(load(stories260k), [1])
