"""A matrix on its way from the checkpoint: codes, scales and biases (numerics, section 4)."""

from typing import NamedTuple, Protocol

import numpy as np

from compiler.models.origin import MatrixDigest, row_blocks
from compiler.passes.lower import Matrix
from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.names import bias_of
from golden.numerics.fixed import to_fixed
from golden.numerics.weights import quantize_rows

__all__ = ["FromCheckpoint", "Scales", "Source", "Weights", "quantized"]


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

    def scales(self) -> Scales:
        """Return what belongs to the output channels, once all rows have been asked for."""
        ...

    def digest(self) -> str | None:
        """Return the checksum of what the checkpoint has, if there is one; after `scales`."""
        ...


class Weights(NamedTuple):
    """A quantized matrix as arrays: codes (outputs, channels) int8, the others (outputs,).

    `mantissa` and `exponent` are each output channel's scale, `bias` is int32 Q15.16 or None.
    """

    codes: np.ndarray
    mantissa: np.ndarray
    exponent: np.ndarray
    bias: np.ndarray | None

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
            block = quantize_rows(name, rows, self._matrix.weight_width, before + start, path)
            codes[start - first : stop - first] = block.codes.numpy()
            self._mantissa[start:stop] = block.mantissa.numpy()
            self._exponent[start:stop] = block.exponent.numpy()
        return codes

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
    return Weights(source.codes_of(0, matrix.outputs), *source.scales())
