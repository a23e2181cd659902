"""Small random models, recipes and hardware for the tests of the compiler and what runs it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st

from compiler.artifact.manifest import about
from compiler.passes.lower import Matrix, Stage
from compiler.passes.quantize import GroupScales, Weights
from compiler.programs.layers import build_stages
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import matrices, site_of, tensor_shapes
from golden.checkpoint.readers import StoredGrid
from golden.numerics.groups import OFFSETS, SCALE_BITS, GridRows, Groups
from golden.numerics.neuron import Site
from golden.recipe.exponents import Exponents, pack_exponents, site_channels, unpack_exponents
from golden.recipe.fold import by_value_head
from golden.recipe.recipe import Recipe
from golden.recipe.settings import SiteSettings
from hw.contract.params import GROUPS, LARGEST_ZERO, HwParams
from hw.contract.presets import preset

SITE = Site(rule="absmax", max_count=127, multiplier=256, divisor=127)


def recipe(**settings) -> Recipe:
    """Return a recipe of the same settings everywhere."""
    return Recipe("of a test", SiteSettings(**settings), {}, {})


class RandomCheckpoint:
    """A checkpoint of random tensors, as much of `Checkpoint` as is needed."""

    def __init__(self, seed: int, **changes) -> None:
        figures = dict(
            name="random",
            vocab_size=77,
            hidden_size=36,
            ffn_size=91,
            layers=2,
            heads=6,
            kv_heads=2,
            head_dim=6,
            max_positions=64,
            norm_eps=1e-5,
            rope_theta=1e4,
            rope_interleaved=False,
            qkv_bias=True,
        )
        self.config = ModelConfig(**(figures | changes))
        self.stamp = [seed, changes]
        self.path = Path("random")
        generator = torch.Generator().manual_seed(seed)
        self._tensors = {
            name: torch.randn(shape, generator=generator) / shape[-1] ** 0.5
            for name, shape in tensor_shapes(self.config).items()
        }
        for name, tensor in self._tensors.items():
            if name.endswith("_bias"):
                # Ends of Q15.16 among them: a bias may saturate what the product did not.
                tensor.mul_(5)[:2] = torch.tensor([32767.9, -32768.0])
        if self.config.tied_head:
            self._tensors["lm_head"] = self._tensors["embed"]

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor by its canonical name."""
        return self._tensors[name]

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return rows of a tensor."""
        return self._tensors[name][start:stop]

    def grid(self, name: str) -> None:
        """Return nothing: the weights lie on no grid."""

    def format(self, name: str) -> str:
        """Return nothing: they lie in no file."""
        return ""

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return tuple(self._tensors[name].shape)


FORMS = (  # bits of a code, input channels of a group, what it has beside d
    (4, 32, "m"),
    (4, 32, "none"),
    (8, 16, "none"),
    (4, 128, "z"),
    (8, 32, "m"),
    (2, 64, "z"),
    (8, 64, "none"),
)


def random_grid(
    rng: np.random.Generator, outputs: int, channels: int, bits: int, group: int, offsets: str
) -> GridRows:
    """Return rows on a grid of scales in fp16 as files have them, for weights of variance 1 / K."""
    half, groups = 1 << bits - 1, channels // group
    size = channels**-0.5 / half

    def scales(low: float, high: float) -> torch.Tensor:
        values = rng.uniform(low, high, (outputs, groups)) * size
        return torch.from_numpy(values.astype(np.float16).astype(np.float64))

    zeros = rng.integers(-half, half + 1, (outputs, groups)).astype(np.float64)
    return GridRows(
        codes=torch.from_numpy(rng.integers(-half, half, (outputs, channels)).astype(np.int8)),
        d=scales(0.5, 2) if offsets != "none" else scales(-2, 2),
        z=torch.from_numpy(zeros) if offsets == "z" else None,
        m=scales(-2, 2) if offsets == "m" else None,
        group=group,
        bits=bits,
        offset_shift=(3 if bits == 4 else 4) if offsets == "m" else 0,
    )


class GridCheckpoint(RandomCheckpoint):
    """A random model whose matrices lie on grids of all forms, as their channels allow.

    Channels are multiples of 128, and the embedding is of floats.
    """

    def __init__(self, seed: int, **changes) -> None:
        shape = dict(hidden_size=128, ffn_size=256, heads=4, kv_heads=2, head_dim=32)
        super().__init__(seed, **(shape | changes))
        rng = np.random.default_rng(seed)
        self.grids = {}
        for index, name in enumerate(matrices(self.config)):
            form = FORMS[(index + seed) % len(FORMS)]
            rows = random_grid(rng, *self._tensors[name].shape, *form)
            self._tensors[name] = rows.weights().float()
            self.grids[name] = StoredGrid(
                format="a test",
                group=rows.group,
                bits=rows.bits,
                offsets=form[2],
                offset_shift=rows.offset_shift,
                read=partial(_rows_of, rows),
            )

    def grid(self, name: str) -> StoredGrid | None:
        """Return the grid that a matrix lies on."""
        return self.grids.get(name)


def _rows_of(rows: GridRows, first: int, end: int) -> GridRows:
    part = slice(first, end)
    return replace(
        rows,
        codes=rows.codes[part],
        d=rows.d[part],
        z=None if rows.z is None else rows.z[part],
        m=None if rows.m is None else rows.m[part],
    )


def random_exponents(checkpoint, seed: int, largest: int = 3) -> Exponents:
    """Return exponents for every site, equal for query heads that share values."""
    config = checkpoint.config
    generator = torch.Generator().manual_seed(seed)
    sites = {}
    for name in dict.fromkeys(map(site_of, matrices(config))):
        shape = (site_channels(config, name),)
        e = torch.randint(0, largest + 1, shape, generator=generator, dtype=torch.int8)
        if name.endswith(".o"):
            by_head = by_value_head(e, config)
            e = by_head[:, :1].expand_as(by_head).flatten()
        sites[name] = e
    return unpack_exponents(pack_exponents(sites))


def one_matrix(
    outputs: int, channels: int, weight_width: int = 8, has_bias: bool = False, site: Site = SITE
) -> list[Stage]:
    """Return the stages of a program of one matrix, called `w`, fed by the site `s`."""
    matrix = Matrix(
        name="w",
        channels=channels,
        first_row=0,
        outputs=outputs,
        weight_width=weight_width,
        has_bias=has_bias,
    )
    return [Stage(name="s", channels=channels, site=site, matrices=(matrix,))]


def random_weights(rng: np.random.Generator, matrix: Matrix) -> Weights:
    """Return random codes, scales and biases, the extreme ones among them."""
    largest = {8: 127, 4: 7, 2: 1}[matrix.weight_width]
    shape = (matrix.outputs, matrix.channels)
    if matrix.groups is not None:
        return _grouped_weights(rng, matrix, matrix.groups)
    return Weights(
        rng.integers(-largest, largest + 1, shape, dtype=np.int8),
        rng.integers(1 << 15, 1 << 16, matrix.outputs),
        rng.integers(8, 72, matrix.outputs),
        rng.integers(-(1 << 31), 1 << 31, matrix.outputs) if matrix.has_bias else None,
    )


def _grouped_weights(rng: np.random.Generator, matrix: Matrix, groups: Groups) -> Weights:
    half = 1 << matrix.weight_width - 1
    shape = (matrix.outputs, matrix.channels // groups.size)
    limit = (1 << groups.width - 1) - 1
    has_offsets = groups.offsets != "none"
    low, high = (0, 2 * limit + 1) if has_offsets else (-limit, limit)
    corners = rng.choice([low, 0, 1, high], shape)
    d = np.where(rng.random(shape) < 0.3, corners, rng.integers(low, high + 1, shape))
    offsets = None
    if has_offsets:
        most = min(limit, LARGEST_ZERO) if groups.offsets == "z" else limit
        offsets = rng.integers(-most, most + 1, shape)
    return Weights(
        rng.integers(-half, half, (matrix.outputs, matrix.channels)).astype(np.int8),
        rng.integers(1 << 15, 1 << 16, matrix.outputs),
        rng.integers(8, 72, matrix.outputs),
        rng.integers(-(1 << 31), 1 << 31, matrix.outputs) if matrix.has_bias else None,
        GroupScales(d, offsets),
    )


def random_groups(rng: np.random.Generator, channels: int) -> Groups | None:
    """Return how groups of so many channels may be held; None where none divides them."""
    sizes = [size for size in GROUPS if channels % size == 0]
    if not sizes:
        return None
    offsets = str(rng.choice(OFFSETS))
    return Groups(
        size=int(rng.choice(sizes)),
        width=int(rng.choice(SCALE_BITS)),
        offsets=offsets,
        offset_shift=int(rng.integers(8)) if offsets == "m" else 0,
    )


def compiled(directory, stages, params, rng, *, coding="csd", tokens=2):
    """Compile stages with random weights into `directory`."""
    return build_stages(
        stages,
        lambda matrix: random_weights(rng, matrix),
        directory,
        params=params,
        coding=coding,
        tokens=tokens,
        about=ABOUT,
    )


ABOUT = about(RandomCheckpoint(0).config, recipe(), "csd", {"weights": "synthetic"}, ["w"])
"""What a manifest says of random stages."""


@st.composite
def hardware(draw) -> HwParams:
    """Return hardware with any small array and any width of memory."""
    width = draw(st.sampled_from([64, 128, 256]))
    lanes = draw(st.sampled_from([n for n in (4, 8, 16, 64) if 32 * n >= width]))
    banks = draw(st.sampled_from([b for b in (1, 2, 4, 8, 32) if 2 * lanes * b >= width]))
    return replace(
        preset("test"),
        tokens=draw(st.integers(1, 4)),
        lanes=lanes,
        banks=banks,
        axi_data_width=width,
        max_channels=64,
    )
