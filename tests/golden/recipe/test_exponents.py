"""Channel exponents: their file, and that a model divided by them is the same one."""

import io
import json

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType

from golden.checkpoint.checkpoint import load
from golden.checkpoint.names import matrices, site_of
from golden.model.llama import FloatLinear, Model
from golden.recipe.exponents import (
    apply_exponents,
    exponents_entry,
    exponents_of,
    pack_exponents,
    site_channels,
    unpack_exponents,
)
from golden.recipe.fold import by_value_head
from golden.recipe.recipe import RecipeError, load_recipe
from tests.golden.make_checkpoints import (
    SHAPE,
    gguf_parts,
    random_blocks,
    random_model,
    write_gguf,
)

IDS = [(7 * i * i + 3 * i) % SHAPE["vocab_size"] for i in range(60)]
WIDER = {"hidden_size": 64, "intermediate_size": 96}


@pytest.fixture
def checkpoint(seed, tmp_path):
    """Return one with biases of q, k and v, and two query heads to each of k and v."""
    random_model("qwen2", seed).save_pretrained(tmp_path)
    return load(tmp_path)


def random_exponents(config, seed: int) -> dict[str, torch.Tensor]:
    generator, sites = torch.Generator().manual_seed(seed), {}
    for site in dict.fromkeys(site_of(name) for name in matrices(config)):
        e = torch.randint(0, 4, (site_channels(config, site),), generator=generator)
        if site.endswith(".o"):
            by_head = by_value_head(e, config)
            e = by_head[:, :1].expand_as(by_head).flatten()
        sites[site] = e.to(torch.int8)
    return sites


class Weighed(FloatLinear):
    """Matrices in float whose vectors weigh 2^e, as spikes do."""

    def __init__(self, model: Model, sites: dict[str, torch.Tensor]) -> None:
        super().__init__(model.config, model.tensor)
        self.sites = sites

    def __call__(self, site: str, name: str, x: torch.Tensor) -> torch.Tensor:
        return super().__call__(site, name, x * torch.exp2(self.sites[site].float()))


@pytest.mark.parametrize("channels", [1, 5, 40])
def test_what_was_packed_is_read_again(channels, seed):
    e = torch.randint(0, 4, (channels,), generator=torch.Generator().manual_seed(seed))
    sites = {"layers.0.qkv": e.to(torch.int8), "head": torch.full((channels,), 3)}
    raw = pack_exponents(sites)
    assert raw == pack_exponents(sites)
    read = unpack_exponents(raw)
    assert read.raw == raw and read.sites.keys() == sites.keys()
    for site, e in sites.items():
        found = read.of(site, channels)
        assert found.dtype == torch.int8 and found.tolist() == e.tolist()
        assert not read.sites[site][channels:].any()
    assert read.of("layers.0.o", channels) is None
    assert np.load(io.BytesIO(raw))["head"].dtype == np.uint8
    again = exponents_of(json.loads(json.dumps(exponents_entry(read))))
    assert again.raw == raw and exponents_entry(None) is exponents_of(None) is None


def test_what_divides_and_what_weighs_cancel_out_exactly(checkpoint, seed):
    sites = random_exponents(checkpoint.config, seed)
    scaled = Model(apply_exponents(checkpoint, unpack_exponents(pack_exponents(sites))))
    scaled.linear = Weighed(scaled, sites)
    assert torch.equal(scaled.forward(IDS), Model(checkpoint).forward(IDS))


def test_what_makes_no_vector_of_a_site_stays_as_it_is(checkpoint, seed):
    sites = random_exponents(checkpoint.config, seed)
    scaled = apply_exponents(checkpoint, unpack_exponents(pack_exponents(sites)))
    assert scaled.names() == checkpoint.names()
    for name in checkpoint.names():
        same = torch.equal(scaled.tensor(name), checkpoint.tensor(name))
        kind = name.rpartition(".")[2]
        divided = ("attn_norm", "ffn_norm", "final_norm", "up", "v", "v_bias")
        assert same == (kind not in divided)
        assert torch.equal(scaled.rows(name, 1, 3), scaled.tensor(name)[1:3])
        assert scaled.shape(name) == checkpoint.shape(name)
    assert apply_exponents(checkpoint, None) is checkpoint


def test_grids_are_divided_too(seed, tmp_path):
    family, fields, tensors = gguf_parts(random_model("llama", seed, **WIDER))
    kind, rng = GGMLQuantizationType.Q4_1, np.random.default_rng(seed)
    blocks = {
        name: (kind, random_blocks(kind, *tensor.shape, rng))
        for name, tensor in tensors.items()
        if name.endswith(("attn_v.weight", "ffn_up.weight", "ffn_gate.weight"))
    }
    checkpoint = load(write_gguf(tmp_path / "q.gguf", family, fields, tensors, blocks))
    sites = random_exponents(checkpoint.config, seed)
    scaled = apply_exponents(checkpoint, unpack_exponents(pack_exponents(sites)))
    assert scaled.grid("layers.0.q") is None
    for name in ("layers.0.v", "layers.1.up", "layers.2.gate"):
        grid, outputs = scaled.grid(name).read(1, 24), checkpoint.grid(name).read(1, 24)
        assert torch.equal(grid.codes, outputs.codes)
        assert torch.equal(grid.weights().float(), scaled.rows(name, 1, 24))
        assert torch.equal(grid.d, outputs.d) == (name == "layers.2.gate")
        assert scaled.format(name) == "Q4_1"


def test_another_models_are_refused(checkpoint, seed):
    sites = random_exponents(checkpoint.config, seed)
    name = checkpoint.config.name
    for change, site in (
        ({"layers.3.qkv": sites["head"]}, "layers.3.qkv"),
        ({"layers.1.down": sites["head"]}, "layers.1.down"),
        ({"layers.1.down": sites["layers.1.down"][:-4]}, "layers.1.down"),
    ):
        with pytest.raises(ValueError) as error:
            apply_exponents(checkpoint, unpack_exponents(pack_exponents(sites | change)))
        assert str(error.value) == (
            f"the recipe's exponents must be of this model, {name}, which they are not at {site}"
        )
    unequal = sites["layers.1.o"].clone()
    unequal[0] = 3 - unequal[0]
    with pytest.raises(ValueError) as error:
        apply_exponents(
            checkpoint, unpack_exponents(pack_exponents(sites | {"layers.1.o": unequal}))
        )
    assert str(error.value) == (
        "the recipe's exponents must be equal for query heads that share values, which they are "
        "not at layers.1.o"
    )


def archive(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"PK", "is no archive of arrays, or a damaged one"),
        (archive(), "must have the exponents of at least one site"),
        (
            archive(head=np.zeros(3, np.int8)),
            "must have arrays of uint8 and one dimension, which head is not",
        ),
        (
            archive(head=np.zeros((3, 1), np.uint8)),
            "must have arrays of uint8 and one dimension, which head is not",
        ),
        (
            archive(head=np.zeros(0, np.uint8)),
            "must have arrays of uint8 and one dimension, which head is not",
        ),
    ],
)
def test_a_recipe_names_the_file_that_is_none(tmp_path, raw, said):
    path, file = tmp_path / "recipe.toml", tmp_path / "x.exponents.npz"
    path.write_text('[exponents]\nfile = "x.exponents.npz"\n')
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert str(error.value) == (
        f"recipe {path}: its exponents {file} cannot be read: No such file or directory"
    )
    file.write_bytes(raw)
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert str(error.value) == f"recipe {path}: its exponents {file} {said}"
