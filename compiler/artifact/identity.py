"""What the bytes of a build depend on: the request, the checkpoint, the versions."""

from functools import cache

import numba
import numpy
import torch

from golden.checkpoint.checkpoint import Checkpoint
from golden.console.version import sources

__all__ = ["identity"]


def identity(checkpoint: Checkpoint, **request: object) -> dict[str, object]:
    """Return the request with the checkpoint's stamp and the versions, as JSON values."""
    return {**request, "checkpoint": checkpoint.stamp, "version": _version()}


@cache
def _version() -> str:
    """Return a digest of this program's text, and the versions of what it computes with."""
    libraries = (f"{x.__name__} {x.__version__}" for x in (torch, numpy, numba))
    return ", ".join([sources("compiler", "golden", "hw")[:16], *libraries])
