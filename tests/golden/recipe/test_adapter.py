"""An adapter's file: what it adds to the model that it is of, refused in one sentence elsewhere."""

import io
import json

import numpy as np
import pytest
import torch

from golden.checkpoint.checkpoint import load
from golden.checkpoint.names import matrices
from golden.measure.profile import recipe_digest
from golden.model.prepare import prepare
from golden.recipe.adapter import (
    adapt,
    adapter_entry,
    adapter_of,
    pack_adapter,
    signs,
    units,
    unpack_adapter,
)
from golden.recipe.recipe import RecipeError, load_recipe
from tests.golden.make_checkpoints import random_model


@pytest.fixture
def checkpoint(seed, tmp_path):
    random_model("qwen2", seed).save_pretrained(tmp_path)
    return load(tmp_path)


def random_ups(checkpoint, seed, rank=4):
    """Return an adapter's parts, (outputs, rank), each vector with a largest of its own."""
    generator = torch.Generator().manual_seed(seed)
    ups = {}
    for name in matrices(checkpoint.config):
        size = 0.01 * (1 + torch.arange(rank))
        ups[name] = size * torch.randn(checkpoint.shape(name)[0], rank, generator=generator)
    return ups


@pytest.fixture
def ups(checkpoint, seed):
    return random_ups(checkpoint, seed)


@pytest.fixture
def recipe(tmp_path):
    """Return the path of a recipe whose adapter is `x.adapter.npz`, to be written."""
    path = tmp_path / "recipe.toml"
    path.write_text('weight_bits = 8\n[adapter]\nfile = "x.adapter.npz"\n')
    return path


def test_it_adds_what_was_packed_to_each_matrix_and_nothing_else(checkpoint, ups, recipe):
    raw = pack_adapter(ups)
    (recipe.parent / "x.adapter.npz").write_bytes(raw)
    loaded = load_recipe(recipe)
    adapted = prepare(checkpoint, loaded)
    assert loaded.adapter.raw == raw
    for name in adapted.names():
        w = checkpoint.tensor(name).double().numpy()
        got = adapted.tensor(name).double().numpy()
        if name not in ups:
            assert (got == w).all()
            continue
        codes = 7 * ups[name] / ups[name].abs().amax(dim=0)
        kept = (codes.round() / codes * ups[name]).double().numpy()
        assert np.allclose(loaded.adapter.ups[name], kept, rtol=1e-5)
        column = np.sqrt((w**2).mean(axis=0))
        row = np.sqrt(((w / column) ** 2).mean(axis=1))
        wanted = w.copy()
        sign = signs(name, 4, w.shape[1]).numpy()
        for j in range(4):
            wanted += np.outer(row * kept[:, j] / 2, sign[j] * column)
        assert np.allclose(got, wanted, rtol=1e-4, atol=1e-6)
        assert np.abs(got - w).max() > 0.01 * np.abs(w).max()
        assert torch.equal(adapted.rows(name, 3, 7), adapted.tensor(name)[3:7])


def test_what_is_read_packs_to_the_same(ups):
    found = unpack_adapter(pack_adapter(ups))
    again = unpack_adapter(pack_adapter(found.ups))
    assert all(torch.allclose(again.ups[name], up, rtol=1e-5) for name, up in found.ups.items())


def test_a_vector_of_nothing_stays_nothing(ups):
    found = unpack_adapter(pack_adapter({name: up * 0 for name, up in ups.items()}))
    assert not any(up.any() for up in found.ups.values())


def test_signs_are_fair_and_a_matrix_has_its_own():
    first, other = (signs(name, 8, 1001) for name in ("layers.0.q", "layers.1.q"))
    assert first.shape == (8, 1001) and set(first.unique().tolist()) == {-1, 1}
    assert abs(float(first.mean())) < 0.05 and abs(float((first * other).mean())) < 0.05
    assert torch.equal(first, signs("layers.0.q", 8, 1001))
    assert first[0, :8].tolist() == [1, 1, -1, 1, -1, 1, -1, -1]


def test_a_matrix_of_nothing_is_corrected_by_nothing():
    row, column = units(torch.zeros(3, 5))
    assert (row[:, None] * column).max() < 1e-8


def test_a_tied_head_becomes_its_own(seed, tmp_path):
    random_model("llama", seed, tie_word_embeddings=True).save_pretrained(tmp_path)
    checkpoint = load(tmp_path)
    assert checkpoint.config.tied_head
    adapted = adapt(checkpoint, unpack_adapter(pack_adapter(random_ups(checkpoint, seed))))
    assert not adapted.config.tied_head
    assert torch.equal(adapted.tensor("embed"), checkpoint.tensor("embed"))
    assert not torch.equal(adapted.tensor("lm_head"), checkpoint.tensor("embed"))


def test_it_passes_through_json(ups):
    assert adapter_of(adapter_entry(None)) is None
    found = unpack_adapter(pack_adapter(ups))
    assert adapter_of(json.loads(json.dumps(adapter_entry(found)))).raw == found.raw


def test_a_recipe_is_another_with_another_adapter(checkpoint, ups, recipe):
    digests = set()
    for scale in (1, 2):
        scaled = {name: scale * up for name, up in ups.items()}
        (recipe.parent / "x.adapter.npz").write_bytes(pack_adapter(scaled))
        digests.add(recipe_digest(load_recipe(recipe)))
    recipe.write_text("weight_bits = 8\n")
    digests.add(recipe_digest(load_recipe(recipe)))
    assert len(digests) == 3


@pytest.mark.parametrize(
    "change", [{"num_hidden_layers": 1}, {"num_hidden_layers": 4}, {"intermediate_size": 80}]
)
def test_another_models_is_refused(ups, change, tmp_path, seed):
    other = tmp_path / "other"
    random_model("qwen2", seed, **change).save_pretrained(other)
    with pytest.raises(ValueError, match="^the recipe.s adapter must be of this model, other"):
        adapt(load(other), unpack_adapter(pack_adapter(ups)))


def _archive(**arrays):
    file = io.BytesIO()
    names = {name: name.replace("_", "/").replace("-", "_") for name in arrays}
    np.savez(file, **{names[name]: values for name, values in arrays.items()})
    return file.getvalue()


CODES, SCALE = np.ones((1, 3, 2), "u1"), np.ones((1, 4), "f4")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"no archive", "is no archive of arrays, or a damaged one"),
        (_archive(), "must have KIND/codes and KIND/scale of at least one KIND"),
        (_archive(q_codes=CODES), "must have KIND/codes and KIND/scale, and nothing else"),
        (_archive(z_codes=CODES, z_scale=SCALE), "must have KIND/codes and KIND/scale, and"),
        (_archive(q_codes=CODES * 1.0, q_scale=SCALE), "must have q/codes finite, of uint8"),
        (_archive(q_codes=CODES[0], q_scale=SCALE), "must have q/codes finite, of uint8 and 3"),
        (_archive(q_codes=CODES, q_scale=SCALE * np.nan), "must have q/scale finite"),
        (_archive(q_codes=CODES * 8, q_scale=SCALE), "must have q/codes of -7 to 7"),
        (_archive(q_codes=CODES, q_scale=SCALE[:, :2]), "must have q of the same layers and rank"),
        (_archive(q_codes=CODES[:0], q_scale=SCALE), "must have q of the same layers and rank"),
        (_archive(q_codes=CODES[..., :0], q_scale=SCALE[:, :0]), "must have q of the same"),
        (
            _archive(**{"lm-head_codes": CODES.repeat(2, 0), "lm-head_scale": SCALE.repeat(2, 0)}),
            "must have lm_head once, not 2 times",
        ),
    ],
)
def test_a_bad_file_is_one_sentence(recipe, raw, said):
    path = recipe.parent / "x.adapter.npz"
    path.write_bytes(raw)
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe)
    assert str(error.value).startswith(f"recipe {recipe}: its adapter {path} {said}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("adapter = 3", "[adapter] must hold a file and nothing else"),
        ('[adapter]\ntext = "x"', "[adapter] must hold a file and nothing else"),
        ("[adapter]\nfile = 3", "[adapter] must have a file that is not blank"),
        ('[adapter]\nfile = "none.npz"', "its adapter {}/none.npz cannot be read: No such file"),
    ],
)
def test_a_bad_table_is_one_sentence(recipe, table, said):
    recipe.write_text(table + "\n")
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe)
    assert said.format(recipe.parent) in str(error.value)
