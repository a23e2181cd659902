"""An adapter's file: what it adds to the model that it is of, refused in one sentence elsewhere."""

import io
import json

import numpy as np
import pytest
import torch

from golden.adapter import adapt, adapter_entry, adapter_of, pack_adapter, unpack_adapter
from golden.checkpoints import load
from golden.names import matrices
from golden.prepare import prepare
from golden.profile import recipe_digest
from golden.recipe import RecipeError, load_recipe
from tests.golden.make_checkpoints import random_model


@pytest.fixture
def checkpoint(seed, tmp_path):
    random_model("qwen2", seed).save_pretrained(tmp_path)
    return load(tmp_path)


def random_factors(checkpoint, seed, rank=2):
    generator = torch.Generator().manual_seed(seed)
    factors = {}
    for name in matrices(checkpoint.config):
        outputs, inputs = checkpoint.shape(name)
        up = torch.randn(outputs, rank, generator=generator)
        factors[name] = up, torch.randn(rank, inputs, generator=generator)
    return factors


@pytest.fixture
def factors(checkpoint, seed):
    return random_factors(checkpoint, seed)


@pytest.fixture
def recipe(tmp_path):
    """Return the path of a recipe whose adapter is `x.adapter.npz`, to be written."""
    path = tmp_path / "recipe.toml"
    path.write_text('weight_bits = 8\n[adapter]\nfile = "x.adapter.npz"\n')
    return path


def test_it_adds_what_was_packed_to_each_matrix_and_nothing_else(checkpoint, factors, recipe):
    raw = pack_adapter(factors)
    (recipe.parent / "x.adapter.npz").write_bytes(raw)
    loaded = load_recipe(recipe)
    adapted = prepare(checkpoint, loaded)
    assert loaded.adapter.raw == raw
    for name in adapted.names():
        w = checkpoint.tensor(name)
        if name in factors:
            up, down = factors[name]
            wanted = w + up @ down
            # An element of a factor is rounded by 1/254 of its vector's largest.
            bound = up.abs().amax(0) * down.abs().sum(1).amax() + up.abs().sum(1).amax()
            assert (adapted.tensor(name) - wanted).abs().max() < bound.max() / 120
            assert (adapted.tensor(name) - w).abs().max() > 0.1
            assert torch.equal(adapted.rows(name, 3, 7), adapted.tensor(name)[3:7])
        else:
            assert torch.equal(adapted.tensor(name), w)


def test_what_is_read_is_exact(checkpoint, factors):
    found = unpack_adapter(pack_adapter(factors))
    again = unpack_adapter(pack_adapter(found.factors))
    for name, (up, down) in found.factors.items():
        product = up.double() @ down.double()
        w = adapt(checkpoint, found).tensor(name).double() - checkpoint.tensor(name).double()
        assert torch.allclose(w, product, atol=1e-5)
        other = again.factors[name]
        assert torch.allclose(other[0].double() @ other[1].double(), product, atol=1e-4)


def test_a_vector_of_nothing_stays_nothing(checkpoint, factors):
    factors = {name: (up * 0, down) for name, (up, down) in factors.items()}
    found = unpack_adapter(pack_adapter(factors))
    assert all((up == 0).all() for up, _ in found.factors.values())


def test_a_tied_head_becomes_its_own(seed, tmp_path):
    random_model("llama", seed, tie_word_embeddings=True).save_pretrained(tmp_path)
    checkpoint = load(tmp_path)
    assert checkpoint.config.tied_head
    adapted = adapt(checkpoint, unpack_adapter(pack_adapter(random_factors(checkpoint, seed))))
    assert not adapted.config.tied_head
    assert torch.equal(adapted.tensor("embed"), checkpoint.tensor("embed"))
    assert not torch.equal(adapted.tensor("lm_head"), checkpoint.tensor("embed"))


def test_it_passes_through_json(factors):
    assert adapter_of(adapter_entry(None)) is None
    found = unpack_adapter(pack_adapter(factors))
    assert adapter_of(json.loads(json.dumps(adapter_entry(found)))).raw == found.raw


def test_a_recipe_is_another_with_another_adapter(checkpoint, factors, recipe):
    digests = set()
    for scale in (1, 2):
        scaled = {name: (scale * up, down) for name, (up, down) in factors.items()}
        (recipe.parent / "x.adapter.npz").write_bytes(pack_adapter(scaled))
        digests.add(recipe_digest(load_recipe(recipe)))
    recipe.write_text("weight_bits = 8\n")
    digests.add(recipe_digest(load_recipe(recipe)))
    assert len(digests) == 3


@pytest.mark.parametrize(
    "change", [{"num_hidden_layers": 1}, {"num_hidden_layers": 4}, {"intermediate_size": 80}]
)
def test_another_models_is_refused(factors, change, tmp_path, seed):
    other = tmp_path / "other"
    random_model("qwen2", seed, **change).save_pretrained(other)
    with pytest.raises(ValueError, match="^the recipe.s adapter must be of this model, other"):
        adapt(load(other), unpack_adapter(pack_adapter(factors)))


def _archive(**arrays):
    file = io.BytesIO()
    np.savez(file, **{name.replace("_", "/"): values for name, values in arrays.items()})
    return file.getvalue()


UP, DOWN, SCALE = np.ones((1, 3, 2), "i1"), np.ones((1, 2, 4), "i1"), np.ones((1, 2), "f4")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"no archive", "is no archive of arrays, or a damaged one"),
        (_archive(), "must have at least one KIND/up"),
        (_archive(q_up=UP, q_down=DOWN), "must have KIND/up, KIND/down and KIND/scale, and"),
        (_archive(z_up=UP, z_down=DOWN, z_scale=SCALE), "must have KIND/up, KIND/down and"),
        (_archive(q_up=UP * 1.0, q_down=DOWN, q_scale=SCALE), "must have q/up finite, of int8"),
        (_archive(q_up=UP[0], q_down=DOWN, q_scale=SCALE), "must have q/up finite, of int8 and 3"),
        (_archive(q_up=UP, q_down=DOWN, q_scale=SCALE * np.nan), "must have q/scale finite"),
        (_archive(q_up=UP, q_down=DOWN[:, :1], q_scale=SCALE), "must have q of the same rank"),
        (_archive(q_up=UP[:0], q_down=DOWN, q_scale=SCALE), "must have q for the same layers"),
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
