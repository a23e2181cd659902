"""Small random models, recipes and hardware for the tests of the compiler and what runs it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st

from compiler.artifact.manifest import about
from compiler.passes.lower import Matrix, Stage
from compiler.passes.quantize import Weights
from compiler.programs.layers import build_stages
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import matrices, site_of, tensor_shapes
from golden.numerics.neuron import Site
from golden.recipe.exponents import Exponents, pack_exponents, site_channels, unpack_exponents
from golden.recipe.fold import by_value_head
from golden.recipe.recipe import Recipe
from golden.recipe.settings import SiteSettings
from hw.contract.params import HwParams
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
    return Weights(
        rng.integers(-largest, largest + 1, shape, dtype=np.int8),
        rng.integers(1 << 15, 1 << 16, matrix.outputs),
        rng.integers(8, 72, matrix.outputs),
        rng.integers(-(1 << 31), 1 << 31, matrix.outputs) if matrix.has_bias else None,
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
