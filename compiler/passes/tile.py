"""Pass 2, tile: cut each matrix into output tiles, and each tile into one row segment a channel."""

from dataclasses import dataclass

import numpy as np
import torch

from compiler.passes.lower import Matrix, Stage
from hw.contract import isa
from hw.contract.params import EXPONENT_WIDTH, HwParams
from hw.contract.presets import PRESETS

__all__ = [
    "Tile",
    "check",
    "pack_channel_words",
    "pack_exponents",
    "pack_groups",
    "pack_scales",
    "pack_tile",
    "tile",
    "tile_bytes",
]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Output channels that share the accumulators, and where their weights lie.

    Attributes
    ----------
    first, outputs : int
        First output channel of the tile and how many there are.
    offset : int
        Bytes from the start of the matrix's weights to the tile's first row segment.
    row_bytes : int
        Bytes of one row segment, so also from one channel to the next within a group.
    scale_bytes : int
        Bytes of a group's scales, which follow its last row; 0 where rows have one scale.
    """

    first: int
    outputs: int
    offset: int
    row_bytes: int
    scale_bytes: int


def tile(matrix: Matrix, params: HwParams) -> list[Tile]:
    """Return the tiles of `matrix`, back to back in the order of its output channels."""
    tiles, first, offset = [], 0, 0
    for outputs in params.tiles(matrix.outputs):
        row_bytes = params.row_bytes(outputs, matrix.weight_width)
        groups = matrix.groups
        scales = (
            0 if groups is None else params.scale_words(outputs, groups.bits) * params.axi_bytes
        )
        found = Tile(
            first=first, outputs=outputs, offset=offset, row_bytes=row_bytes, scale_bytes=scales
        )
        tiles.append(found)
        first += outputs
        offset += tile_bytes(matrix, found)
    return tiles


def tile_bytes(matrix: Matrix, tile: Tile) -> int:
    """Return the bytes of a tile of `matrix`: its row segments, and the scales of its groups."""
    groups = 0 if matrix.groups is None else matrix.channels // matrix.groups.size
    return matrix.channels * tile.row_bytes + groups * tile.scale_bytes


def check(stages: list[Stage], params: HwParams) -> None:
    """Raise ValueError where a stage asks for more than the hardware has; it names both."""
    for stage in stages:
        if stage.channels > params.max_channels:
            raise ValueError(
                f"{stage.name} has {stage.channels:,} channels, but this hardware takes at most "
                f"{params.max_channels:,} (max_channels): choose a larger preset{_such_as(stage)}"
            )
        if stage.site.max_count > params.max_count:
            raise ValueError(
                f"{stage.name} counts to {stage.site.max_count}, but this hardware only to "
                f"{params.max_count} (max_count): choose another recipe or preset"
            )
        shift = stage.site.shifts + stage.largest_exponent
        if shift > params.max_shift:
            raise ValueError(
                f"{stage.name} has shifts up to {shift}, but this hardware only up to "
                f"{params.max_shift} (max_shift): choose another recipe or preset"
            )
        for matrix in stage.matrices:
            if matrix.weight_width not in params.weight_widths:
                widths = ", ".join(map(str, params.weight_widths))
                raise ValueError(
                    f"{matrix.name} has weights of {matrix.weight_width} bits, but this hardware "
                    f"takes {widths} (weight_widths): choose another recipe or preset"
                )
            if matrix.groups is not None and not params.grouped:
                raise ValueError(
                    f"{matrix.name} has weights in groups of {matrix.groups.size}, which this "
                    "hardware does not take (grouped): choose another recipe or preset"
                )


def _such_as(stage: Stage) -> str:
    """Return the presets that take a stage's channels, to end a sentence with."""
    fitting = [name for name, known in PRESETS.items() if known.max_channels >= stage.channels]
    return f", such as {' or '.join(fitting)}" if fitting else ""


def pack_tile(codes: np.ndarray, weight_width: int, row_bytes: int) -> np.ndarray:
    """Return a tile's row segments.

    Parameters
    ----------
    codes : ndarray of int8
        The tile's weights, (outputs, channels).
    weight_width : int
        Bits of a weight: 8, 4 or 2.
    row_bytes : int
        Bytes of a row segment.

    Returns
    -------
    ndarray of uint8
        Of shape (channels, row_bytes); code j at bits [j * width, (j + 1) * width) of its row.
    """
    outputs, channels = codes.shape
    per_byte = 8 // weight_width
    # PyTorch transposes many times as fast as NumPy.
    rows = torch.from_numpy(codes).t().contiguous().numpy().view(np.uint8)
    if outputs != row_bytes * per_byte:
        rows = np.pad(rows, ((0, 0), (0, row_bytes * per_byte - outputs)))
    if per_byte == 1:
        return rows
    mask = np.uint8((1 << weight_width) - 1)
    packed = rows[:, ::per_byte] & mask
    for position in range(1, per_byte):
        packed |= (rows[:, position::per_byte] & mask) << np.uint8(position * weight_width)
    return packed


def pack_groups(rows: np.ndarray, scales: np.ndarray, size: int) -> np.ndarray:
    """Return a tile's row segments, with the scales of each group of `size` behind its rows.

    Parameters
    ----------
    rows, scales : ndarray of uint8
        (channels, bytes of a row segment); (groups, bytes of a group's scales).
    """
    by_group = rows.reshape(len(scales), -1)
    assert by_group.shape[1] == size * rows.shape[1]
    return np.concatenate([by_group, scales], axis=1)


def pack_scales(
    d: np.ndarray, offsets: np.ndarray | None, width: int, scale_bytes: int
) -> np.ndarray:
    """Return the scales of a tile's groups: uint8, (groups, `scale_bytes`).

    Parameters
    ----------
    d, offsets : ndarray of integers
        (outputs, groups); z or m, or None.
    width : int
        Bits of each; of an output d lies in the low ones.
    """
    mask = (1 << width) - 1
    word = d.T.astype(np.int64) & mask
    bits = width
    if offsets is not None:
        word |= (offsets.T.astype(np.int64) & mask) << width
        bits *= 2
    raw = np.ascontiguousarray(word.astype(f"<u{bits // 8}")).view(np.uint8)
    return np.pad(raw, ((0, 0), (0, scale_bytes - raw.shape[1])))


def pack_exponents(exponents: bytes, params: HwParams) -> np.ndarray:
    """Return the exponents of a site's channels as memory holds them: uint8, whole words."""
    padded = np.zeros(params.exponent_bytes(len(exponents)) * 8 // EXPONENT_WIDTH, np.uint8)
    padded[: len(exponents)] = np.frombuffer(exponents, np.uint8)
    places = np.arange(0, 8, EXPONENT_WIDTH, dtype=np.uint8)
    return np.bitwise_or.reduce(padded.reshape(-1, len(places)) << places, axis=1)


def pack_channel_words(
    mantissa: np.ndarray, exponent: np.ndarray, bias: np.ndarray | None, params: HwParams
) -> np.ndarray:
    """Return the channel words: (groups, words of a channel, outputs of a group) in uint32.

    A group is as many output channels as a memory word holds; the last one is padded with zeros.

    Parameters
    ----------
    mantissa, exponent : ndarray of integers
        Each output channel's scale, as numerics, section 4, holds it; (outputs,).
    bias : ndarray of int32, or None
        Q15.16, (outputs,), where the matrix has one.
    """
    scale = np.zeros(len(mantissa), np.uint32)
    for name, values in (("mantissa", mantissa), ("exponent", exponent)):
        field = isa.SCALE[name]
        if np.any(values < 0) or np.any(values >> field.width):
            raise ValueError(f"{name} must be 0 to {(1 << field.width) - 1}, not {values.max()}")
        scale |= values.astype(np.uint32) << np.uint32(field.offset)
    words = {"scale": scale}
    if bias is not None:
        words["bias"] = bias.astype(np.int32).view(np.uint32)
    padding = -len(scale) % params.encode_lanes
    return np.stack(
        [
            np.pad(words[name], (0, padding)).reshape(-1, params.encode_lanes)
            for name in isa.CHANNEL_WORDS[bias is not None]
        ],
        axis=1,
    )
