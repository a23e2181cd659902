"""What the bytes of a build depend on: the request, the checkpoint, the versions."""

import hashlib
from functools import cache
from pathlib import Path

import numba
import numpy
import torch

from golden.checkpoint.checkpoint import Checkpoint

__all__ = ["identity"]

_ROOT = Path(__file__).resolve().parents[2]


def identity(checkpoint: Checkpoint, **request: object) -> dict[str, object]:
    """Return the request with the checkpoint's stamp and the versions, as JSON values."""
    return {**request, "checkpoint": checkpoint.stamp, "version": _version()}


@cache
def _version() -> str:
    """Return a digest of this program's text, and the versions of what it computes with."""
    digest = hashlib.sha256()
    for package in ("compiler", "golden", "hw"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(_ROOT)}\n".encode() + path.read_bytes())
    libraries = (f"{x.__name__} {x.__version__}" for x in (torch, numpy, numba))
    return ", ".join([digest.hexdigest()[:16], *libraries])
