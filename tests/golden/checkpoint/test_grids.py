"""Grids of files against the package that dequantizes them."""

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize

from golden.checkpoint.checkpoint import load
from golden.checkpoint.names import matrices
from golden.checkpoint.readers.gguf_grid import GRIDS
from golden.numerics.groups import group_rows
from tests.golden.make_checkpoints import gguf_parts, random_blocks, random_model, write_gguf

WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1}
# Of the largest weight: where d has more than 16 bits (11 of fp16 times 6 or 8), or a row's
# scales lie binades apart, the integers are rounded.
BOUND = dict.fromkeys((Kind.Q4_K, Kind.Q5_K, Kind.Q6_K), 2.0**-14)


@pytest.mark.parametrize("kind", GRIDS, ids=lambda kind: kind.name)
def test_a_gguf_grid_is_what_the_package_dequantizes(kind, tmp_path, seed):
    rng = np.random.default_rng(seed)
    family, fields, tensors = gguf_parts(random_model("llama", seed, **WIDE))
    raw = {
        name: random_blocks(kind, *tensors[name].shape, rng)
        for name in ("blk.0.attn_q.weight", "blk.0.ffn_down.weight", "output.weight")
    }
    blocks = {name: (kind, values) for name, values in raw.items()}
    checkpoint = load(write_gguf(tmp_path / "m.gguf", family, fields, tensors, blocks))
    for name, stored in zip(("layers.0.q", "layers.0.down", "lm_head"), raw.values(), strict=True):
        want = torch.from_numpy(dequantize(stored, kind))
        grid = checkpoint.grid(name)
        assert grid is not None and grid.format == checkpoint.format(name) == kind.name
        rows = grid.read(0, len(want))
        assert (rows.group, rows.bits) == (grid.group, grid.bits)
        assert [rows.z is not None, rows.m is not None] == [False, grid.offsets == "m"]
        # The package adds in float32.
        assert torch.equal(rows.weights().float(), want)
        assert torch.equal(grid.read(3, 7).weights(), rows.weights()[3:7])
        held = group_rows(rows).weights()
        if kind in BOUND:
            assert (held - want).abs().max() <= BOUND[kind] * want.abs().max()
        else:
            assert torch.equal(held.float(), want)


def test_matrices_of_floats_are_on_no_grid(tmp_path, seed):
    family, fields, tensors = gguf_parts(random_model("llama", seed))
    checkpoint = load(write_gguf(tmp_path / "m.gguf", family, fields, tensors))
    assert all(checkpoint.grid(name) is None for name in matrices(checkpoint.config))
    assert checkpoint.format("lm_head") == "F32"


def test_smollm2s_integers_are_the_very_weights_of_its_file(smollm2_135m):
    checkpoint = load(smollm2_135m)
    for name in ("layers.0.q", "layers.13.v", "layers.29.down", "lm_head"):
        outputs = min(2048, checkpoint.shape(name)[0])
        held = group_rows(checkpoint.grid(name).read(0, outputs))
        assert torch.equal(held.weights(), checkpoint.rows(name, 0, outputs).double())
