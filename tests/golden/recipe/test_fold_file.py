"""A fold's file: exact for the model that it is of, refused in one sentence where it is not."""

import json

import numpy as np
import pytest
import torch

from golden.checkpoint.checkpoint import load
from golden.measure.profile import recipe_digest
from golden.model.find_fold import find_fold
from golden.model.llama import Model
from golden.model.prepare import fold
from golden.recipe.fold_file import fold_entry, fold_of, pack_fold, unpack_fold
from golden.recipe.recipe import RecipeError, load_recipe
from tests.golden.make_checkpoints import SHAPE, random_model

IDS = [(7 * i * i + 3 * i) % SHAPE["vocab_size"] for i in range(100)]


@pytest.fixture
def checkpoint(seed, tmp_path):
    random_model("qwen3", seed).save_pretrained(tmp_path)
    return load(tmp_path)


@pytest.fixture
def recipe(tmp_path):
    """Return the path of a recipe whose fold is `x.fold.npz`, to be written."""
    path = tmp_path / "recipe.toml"
    path.write_text('weight_bits = 8\n[fold]\nfile = "x.fold.npz"\n')
    return path


def test_what_is_read_cancels_out_as_what_was_found(checkpoint, recipe):
    raw = pack_fold(find_fold(checkpoint, IDS))
    (recipe.parent / "x.fold.npz").write_bytes(raw)
    read = load_recipe(recipe).fold
    unit = torch.eye(SHAPE["hidden_size"], dtype=torch.float64)
    assert (read.axes.T @ read.axes - unit).abs().max() < 1e-12
    assert read.raw == raw
    expected, got = Model(checkpoint).forward(IDS), Model(fold(checkpoint, read)).forward(IDS)
    assert (got - expected).abs().max() < 2e-4 * expected.abs().max()


def test_it_passes_through_json(checkpoint):
    for source in (None, "a text", unpack_fold(pack_fold(find_fold(checkpoint, IDS)))):
        again = fold_of(json.loads(json.dumps(fold_entry(source))))
        assert fold_entry(again) == fold_entry(source)
        assert type(again) is type(source)


def test_a_recipe_is_another_with_another_fold(checkpoint, recipe):
    digests = set()
    for ids in (IDS, IDS[:50]):
        (recipe.parent / "x.fold.npz").write_bytes(pack_fold(find_fold(checkpoint, ids)))
        digests.add(recipe_digest(load_recipe(recipe)))
    assert len(digests) == 2


def test_another_models_is_refused(checkpoint, tmp_path, seed):
    found = find_fold(checkpoint, IDS)
    other = tmp_path / "other"
    random_model("qwen3", seed, num_hidden_layers=1).save_pretrained(other)
    with pytest.raises(ValueError, match="^the recipe.s fold must be of this model, other"):
        fold(load(other), found)


def _archive(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.write_bytes(b"no archive"), "is no archive of arrays, or a damaged one"),
        (
            lambda path: _archive(path, **{"scales/head": np.ones(4) * 1j}),
            "must have arrays of floating point, and scales/head is complex128",
        ),
        (lambda path: _archive(path, axes=np.eye(4)), "must have axes and scales/SITE, and no"),
        (
            lambda path: _archive(path, **{"scales/head": np.ones(4), "more": np.ones(4)}),
            "must have axes and scales/SITE, and nothing else",
        ),
        (
            lambda path: _archive(path, **{"scales/head": np.array([1, 0.0])}),
            "must have positive scales, of one dimension, for head",
        ),
        (
            lambda path: _archive(path, **{"scales/head": np.ones(4), "axes": np.ones((4, 4))}),
            "must have orthogonal axes",
        ),
        (
            lambda path: _archive(path, **{"scales/head": np.ones(4), "axes": np.ones((4, 3))}),
            "must have square axes, not of shape (4, 3)",
        ),
    ],
)
def test_a_bad_file_is_one_sentence(recipe, write, said):
    path = recipe.parent / "x.fold.npz"
    write(path)
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe)
    assert str(error.value).startswith(f"recipe {recipe}: its fold {path} {said}")
    assert "\n" not in str(error.value)


def test_any_damage_is_one_sentence(checkpoint, recipe, seed):
    path = recipe.parent / "x.fold.npz"
    raw = pack_fold(find_fold(checkpoint, IDS))
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(150):
        damaged = bytearray(raw)
        for at in rng.integers(len(raw) - 1200, len(raw), 3):  # the archive's directory
            damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            load_recipe(recipe)
        except RecipeError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("text = 'a'\nfile = 'b'", "must hold a text or a file and nothing else"),
        ("axes = 'a'", "must hold a text or a file and nothing else"),
        ("file = ' '", "must have a file that is not blank"),
        ("text = 3", "must have a text that is not blank"),
    ],
)
def test_a_fold_is_a_text_or_a_file(recipe, table, said):
    recipe.write_text(f"[fold]\n{table}\n")
    with pytest.raises(RecipeError, match=rf"\[fold\] {said}$"):
        load_recipe(recipe)
