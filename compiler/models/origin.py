"""Which weights a compiled model is made of: a checksum that no file format of theirs changes."""

import hashlib
from collections.abc import Iterable, Iterator

from torch import Tensor

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.names import bias_of

__all__ = ["MatrixDigest", "checksum", "combined", "row_blocks"]

_BLOCK_ELEMENTS = 1 << 20


class MatrixDigest:
    """SHA-256 of rows of a matrix, and then of its bias, in float32, as they come."""

    def __init__(self, name: str, first_row: int, outputs: int) -> None:
        self._digest = hashlib.sha256(f"{name} {first_row} {outputs}\n".encode())

    def update(self, rows: Tensor) -> None:
        """Take the next rows, float32."""
        self._digest.update(rows.contiguous().numpy().astype("<f4", copy=False).data)

    def hexdigest(self) -> str:
        """Return the SHA-256 in hex."""
        return self._digest.hexdigest()


def combined(matrices: Iterable[str | None]) -> str:
    """Return the checksum of a model: the SHA-256 of its matrices' digests, a line each."""
    return hashlib.sha256("".join(f"{part}\n" for part in matrices).encode()).hexdigest()


def checksum(checkpoint: Checkpoint, matrices: Iterable[tuple[str, int, int]]) -> str:
    """Return the checksum, in hex, of matrices and their biases as the checkpoint has them.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    matrices : iterable of (str, int, int)
        Canonical name, first output channel, and how many; in this order.
    """
    return combined(_part(checkpoint, *matrix) for matrix in matrices)


def _part(checkpoint: Checkpoint, name: str, first_row: int, outputs: int) -> str:
    digest = MatrixDigest(name, first_row, outputs)
    end = first_row + outputs
    for start, stop in row_blocks(first_row, end, checkpoint.shape(name)[1]):
        digest.update(checkpoint.rows(name, start, stop))
    if bias := bias_of(name, checkpoint.config):
        digest.update(checkpoint.rows(bias, first_row, end))
    return digest.hexdigest()


def row_blocks(first: int, end: int, channels: int) -> Iterator[tuple[int, int]]:
    """Cut rows `first` to `end` into runs of few million bytes; yields start and stop of each."""
    step = max(1, _BLOCK_ELEMENTS // channels)
    for start in range(first, end, step):
        yield start, min(start + step, end)
