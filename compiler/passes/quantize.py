"""A matrix on its way from the checkpoint: codes, scales and biases (numerics, section 4)."""

from typing import NamedTuple, Protocol

import numpy as np

from compiler.models.origin import MatrixDigest, row_blocks
from compiler.passes.lower import Matrix
from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.names import bias_of
from golden.numerics.fixed import to_fixed
from golden.numerics.groups import GroupedWeight
from golden.numerics.weights import quantize_rows
from golden.recipe.forms import grid_rows

__all__ = ["FromCheckpoint", "GroupScales", "Scales", "Source", "Weights", "quantized"]


class GroupScales(NamedTuple):
    """What belongs to each group of rows, (rows, groups): d, and z or m or None."""

    d: np.ndarray
    offsets: np.ndarray | None


class Scales(NamedTuple):
    """What belongs to each output channel, (outputs,): its scale, and its bias or None.

    `mantissa` and `exponent` are the scale, `bias` is int32 in Q15.16.
    """

    mantissa: np.ndarray
    exponent: np.ndarray
    bias: np.ndarray | None


class Source(Protocol):
    """Where a matrix's contents come from."""

    def codes_of(self, first: int, end: int) -> np.ndarray:
        """Return rows, by their numbers among those compiled: int8, (rows, channels)."""
        ...

    def groups_of(self, first: int, end: int) -> GroupScales:
        """Return what belongs to the groups of rows whose codes have been asked for."""
        ...

    def scales(self) -> Scales:
        """Return what belongs to the output channels, once all rows have been asked for."""
        ...

    def digest(self) -> str | None:
        """Return the checksum of what the checkpoint has, if there is one; after `scales`."""
        ...


class Weights(NamedTuple):
    """A quantized matrix as arrays: codes (outputs, channels) int8, the others (outputs,).

    `mantissa` and `exponent` are each output channel's scale, `bias` is int32 Q15.16 or None, and
    `groups` are there where the matrix has some.
    """

    codes: np.ndarray
    mantissa: np.ndarray
    exponent: np.ndarray
    bias: np.ndarray | None
    groups: GroupScales | None = None

    def groups_of(self, first: int, end: int) -> GroupScales:
        """Return what belongs to groups; see `Source`."""
        assert self.groups is not None
        d, offsets = self.groups
        return GroupScales(d[first:end], None if offsets is None else offsets[first:end])

    def codes_of(self, first: int, end: int) -> np.ndarray:
        """Return rows; see `Source`."""
        return self.codes[first:end]

    def scales(self) -> Scales:
        """Return scales and biases; see `Source`."""
        return Scales(self.mantissa, self.exponent, self.bias)

    def digest(self) -> str | None:
        """Return nothing: these come from no checkpoint."""
        return None


class FromCheckpoint:
    """A matrix of a checkpoint; each of its rows is read once, in order, block by block.

    Parameters
    ----------
    matrix : Matrix
        Which.
    checkpoint : Checkpoint
        The model, with the recipe's fold and adapter in it.
    origin : Checkpoint
        The model as it was trained, whose checksum is taken.
    """

    def __init__(self, matrix: Matrix, checkpoint: Checkpoint, origin: Checkpoint) -> None:
        self._matrix, self._checkpoint, self._origin = matrix, checkpoint, origin
        self._mantissa = np.empty(matrix.outputs, np.int32)
        self._exponent = np.empty(matrix.outputs, np.int32)
        self._grid = None if matrix.groups is None else checkpoint.grid(matrix.name)
        self._groups: GroupScales | None = None
        if matrix.groups is not None:
            shape = matrix.outputs, matrix.channels // matrix.groups.size
            has_offsets = matrix.groups.offsets != "none"
            offsets = np.empty(shape, np.int32) if has_offsets else None
            self._groups = GroupScales(np.empty(shape, np.int32), offsets)
        self._digest = MatrixDigest(matrix.name, matrix.first_row, matrix.outputs)

    def codes_of(self, first: int, end: int) -> np.ndarray:
        """Read and quantize rows; see `Source`."""
        name, channels = self._matrix.name, self._matrix.channels
        before = self._matrix.first_row
        codes = np.empty((end - first, channels), np.int8)
        for start, stop in row_blocks(first, end, channels):
            of_model = before + start, before + stop
            rows = self._checkpoint.rows(name, *of_model)
            same = self._origin is self._checkpoint
            self._digest.update(rows if same else self._origin.rows(name, *of_model))
            path = self._origin.path
            if self._grid is None:
                block = quantize_rows(name, rows, self._matrix.weight_width, before + start, path)
            else:
                block = self._grouped(*of_model, start)
            codes[start - first : stop - first] = block.codes.numpy()
            self._mantissa[start:stop] = block.mantissa.numpy()
            self._exponent[start:stop] = block.exponent.numpy()
        return codes

    def groups_of(self, first: int, end: int) -> GroupScales:
        """Return what belongs to groups; see `Source`."""
        assert self._groups is not None
        d, offsets = self._groups
        return GroupScales(d[first:end], None if offsets is None else offsets[first:end])

    def _grouped(self, first: int, end: int, start: int) -> GroupedWeight:
        """Read rows on the grid of their file; keeps what belongs to their groups from `start`."""
        assert self._grid is not None and self._groups is not None and self._matrix.groups
        path = self._origin.path
        block = grid_rows(
            self._matrix.name, self._grid, first, end, self._matrix.groups.width, path
        )
        stop = start + end - first
        self._groups.d[start:stop] = block.d.numpy()
        offsets = block.m if block.z is None else block.z
        if self._groups.offsets is not None and offsets is not None:
            self._groups.offsets[start:stop] = offsets.numpy()
        return block

    def scales(self) -> Scales:
        """Return scales and biases; see `Source`."""
        bias = None
        if name := bias_of(self._matrix.name, self._checkpoint.config):
            first, end = self._matrix.first_row, self._matrix.first_row + self._matrix.outputs
            values = self._checkpoint.rows(name, first, end)
            same = self._origin is self._checkpoint
            self._digest.update(values if same else self._origin.rows(name, first, end))
            bias = to_fixed(values).numpy()
        return Scales(self._mantissa, self._exponent, bias)

    def digest(self) -> str | None:
        """Return the checksum of rows and biases as the origin has them; see `Source`."""
        return self._digest.hexdigest()


def quantized(checkpoint: Checkpoint, matrix: Matrix) -> Weights:
    """Return a matrix of a checkpoint as arrays."""
    source = FromCheckpoint(matrix, checkpoint, checkpoint)
    codes = source.codes_of(0, matrix.outputs)
    groups = None if matrix.groups is None else source.groups_of(0, matrix.outputs)
    return Weights(codes, *source.scales(), groups)
