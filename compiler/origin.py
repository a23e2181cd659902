"""Which weights a compiled model is made of: a checksum that no file format of theirs changes."""

import hashlib
from collections.abc import Iterable

from golden.checkpoints import Checkpoint
from golden.names import bias_of

__all__ = ["checksum"]


def checksum(checkpoint: Checkpoint, matrices: Iterable[tuple[str, int, int]]) -> str:
    """Return the SHA-256, in hex, of matrices and their biases as the checkpoint has them.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    matrices : iterable of (str, int, int)
        Canonical name, first output channel, and how many; hashed in this order, in float32.
    """
    digest = hashlib.sha256()
    for name, first_row, outputs in matrices:
        for tensor in filter(None, (name, bias_of(name, checkpoint.config))):
            rows = checkpoint.tensor(tensor)[first_row : first_row + outputs]
            digest.update(f"{tensor} {first_row} {outputs}\n".encode())
            digest.update(rows.contiguous().numpy().astype("<f4", copy=False))
    return digest.hexdigest()
