"""Whether several devices left in memory what one device does."""

from collections.abc import Iterator, Sequence

import numpy as np

from compiler.artifact.program import Compiled

__all__ = ["differences"]

WHOLE = ("x", "norm", "between", "attention", "act")
"""Vectors that every device has whole."""


def differences(
    one: Compiled, memory: np.ndarray, shards: Sequence[Compiled], memories: Sequence[np.ndarray]
) -> list[str]:
    """Return where memories differ from the one device's, a sentence each.

    Looked at are the tokens, the vectors of the last position, and of every position and layer the
    keys and values with their scales.
    """
    found = []
    for at, (shard, own) in enumerate(zip(shards, memories, strict=True)):
        for name, want, got in _pairs(one, memory, shard, own):
            if not np.array_equal(want, got):
                number = int(np.flatnonzero(want != got)[0])
                found.append(
                    f"device {at}: {name} differs from one device's, first in its word or byte "
                    f"{number}: {want[number]:#x} there, {got[number]:#x} here"
                )
    return found


def _pairs(
    one: Compiled, memory: np.ndarray, shard: Compiled, own: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield names, and what one device has under each beside what a device of several has."""
    yield "tokens", one.token_words(memory), shard.token_words(own)
    for name in WHOLE:
        yield name, _bytes(one, memory, name).view("<u4"), _bytes(shard, own, name).view("<u4")
    rows, channels = shard.part("logits"), shard.regions["logits"].channels
    logits = _bytes(one, memory, "logits").view("<u4")[rows.start : rows.stop]
    yield "logits", logits, _bytes(shard, own, "logits").view("<u4")[:channels]
    heads = shard.part("kv_heads")
    for name, region in shard.regions.items():
        if region.kind == "cache":
            stride = region.bytes // len(heads)
            cache = _bytes(one, memory, name)[heads.start * stride : heads.stop * stride]
            yield name, cache, _bytes(shard, own, name)


def _bytes(compiled: Compiled, memory: np.ndarray, name: str) -> np.ndarray:
    region = compiled.regions[name]
    return memory[region.address : region.address + region.bytes]
