"""Models of transformers in memory are, bit for bit, what loading them saved would give."""

import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from golden.checkpoint.checkpoint import load, of_model
from golden.console.errors import CheckpointError
from tests.golden.make_checkpoints import random_model, rope

FAMILIES = {
    "llama": ("llama", {}),
    "llama-tied": ("llama", {"tie_word_embeddings": True}),
    "llama-yarn": ("llama", rope("yarn")),
    "mistral-window": ("mistral", {"sliding_window": 9}),
    "qwen2": ("qwen2", {}),
    "qwen3-tied": ("qwen3", {"head_dim": 8, "tie_word_embeddings": True}),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_memory_and_disk_are_the_same_model(family, dtype, tmp_path, seed):
    kind, changes = FAMILIES[family]
    model = random_model(kind, seed, **changes).to(dtype)
    model.save_pretrained(tmp_path / "tiny")
    ours, saved = of_model(model, name="tiny"), load(tmp_path / "tiny")
    assert ours.config == saved.config
    assert ours.names() == saved.names()
    for name in [*ours.names(), "lm_head"]:
        assert torch.equal(ours.tensor(name), saved.tensor(name)), name
        assert torch.equal(ours.rows(name, 1, 3), saved.rows(name, 1, 3)), name


def test_what_is_read_does_not_change_with_the_model_but_the_stamp_does(seed):
    model = random_model("llama", seed)
    ours = of_model(model)
    before, stamp = ours.tensor("embed"), ours.stamp
    assert ours.stamp == stamp
    with torch.no_grad():
        model.model.embed_tokens.weight[0, 0] += 1
    assert not torch.equal(ours.tensor("embed"), before)
    assert ours.stamp != stamp
    assert stamp[0][0] == "model"


def test_its_tokenizer_is_the_one_that_is_saved(tmp_path, seed):
    words = Tokenizer(WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    words.enable_truncation(1)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words)
    model = random_model("llama", seed)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    ours, saved = of_model(model, tokenizer).tokenizer, load(tmp_path).tokenizer
    assert (ours.bos_id, ours.eos_ids) == (saved.bos_id, saved.eos_ids)
    for text in ("a", "b", "a?"):
        assert ours.encode(text) == saved.encode(text)
    assert ours.decode([0, 1]) == saved.decode([0, 1])


def test_without_a_tokenizer_it_says_so(seed):
    model = random_model("llama", seed)
    model.config.name_or_path = "somebody/tiny"
    with pytest.raises(CheckpointError) as error:
        of_model(model).tokenizer.encode("a")
    assert str(error.value) == ("tiny has no tokenizer: give one with tokenizer=, or use token ids")
    with pytest.raises(CheckpointError) as error:
        of_model(model, object()).tokenizer  # noqa: B018
    assert str(error.value) == (
        "tiny: the tokenizer must be a fast one of transformers, not object"
    )


def test_what_is_no_model_of_the_family_is_refused(seed):
    model = random_model("llama", seed)
    with pytest.raises(CheckpointError, match="holds the tensor embed_tokens.weight, which has no"):
        of_model(model.model)
    with pytest.raises(
        CheckpointError, match="embed_tokens.weight is not in memory: load the model"
    ):
        of_model(model.to("meta"))
    other = transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=8)
    with pytest.raises(CheckpointError, match="model holds a model of the type gpt2: use one of"):
        of_model(transformers.GPT2LMHeadModel(other))
