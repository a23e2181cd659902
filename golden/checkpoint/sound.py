"""What is read of a file, held to be numbers: errors of one sentence that name the tensor."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from golden.checkpoint.readers import StoredGrid, StoredTensor
from golden.console.errors import CheckpointError
from golden.numerics.fixed import first_index
from golden.numerics.groups import GridRows

__all__ = ["sound_grid", "sound_rows"]


def sound_rows(path: Path, stored: StoredTensor, start: int, stop: int) -> Tensor:
    """Read rows of a tensor of the checkpoint at `path`; `CheckpointError` unless all are finite.

    Rows are elements where it has a single axis.
    """
    try:
        tensor = stored.read(start, stop)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{path}: {stored.name} cannot be read: {error}") from error
    if not bool(tensor.sum(dtype=torch.float64).isfinite()):  # no sum of float32 is too large
        wrong = first_index(~tensor.isfinite())
        channel = "output channel" if tensor.dim() == 2 else "channel"
        raise CheckpointError(
            f"{path}: {stored.name} holds {tensor[wrong].item()} in {channel} "
            f"{start + wrong[0]}, but weights must be finite: the file is damaged, get it again"
        )
    return tensor


def sound_grid(path: Path, stored: StoredTensor) -> StoredGrid | None:
    """Return the grid of a tensor, whose `read` raises `CheckpointError` where it is not finite."""
    grid = stored.grid
    if grid is None:
        return None

    def read(first: int, end: int) -> GridRows:
        try:
            rows = grid.read(first, end)
        except CheckpointError:
            raise
        except ValueError as error:
            raise CheckpointError(f"{path}: {stored.name} cannot be read: {error}") from error
        for kind, values in (("scale", rows.d), ("offset", rows.m)):
            if values is not None and not values.isfinite().all():
                row, group = first_index(~values.isfinite())
                raise CheckpointError(
                    f"{path}: {stored.name} holds the {kind} {values[row, group].item()} in output "
                    f"channel {first + row}, group {group}, but it must be finite: the file is "
                    "damaged, get it again"
                )
        return rows

    return replace(grid, read=read)
