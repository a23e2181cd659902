"""Whether a manifest's entries can be: a checksum that fits says only that they were written so."""

from collections.abc import Callable, Mapping

from compiler.checksums import BLOCK_BYTES
from compiler.directory import is_contents

__all__ = ["contradiction"]

Checks = dict[str, Callable[[object], bool]]

_DIGITS = frozenset("0123456789abcdef")
_SHOWN = 60  # characters of a value


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _is_named(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and _DIGITS.issuperset(value)


_WHOLE: Checks = {
    "model": _is_named,
    "weights": _is_text,
    "layers": _is_list,
    "recipe": _is_table,
    "params": _is_table,
    "fingerprint": _is_digest,
}
_IMAGE: Checks = {
    "tokens": _is_count,
    "memory_bytes": _is_count,
    "regions": _is_table,
    "operations": _is_list,
}
_REGION: Checks = {
    "kind": _is_text,
    "address": _is_count,
    "bytes": _is_count,
    "channels": _is_count,
}
_CONTENTS: Checks = {
    "file": is_contents,
    "offset": _is_count,
    "sha256": _is_digest,
    "crc32": _is_text,
}
_OPERATIONS: dict[str, Checks] = {
    "ENCODE": {"site": _is_text, "channels": _is_count, "input": _is_text},
    "MATMUL": {
        **dict.fromkeys(("matrix", "site", "weights", "channel_words", "output"), _is_text),
        **dict.fromkeys(("channels", "outputs", "first_row", "weight_width"), _is_count),
        **dict.fromkeys(("tiles", "weight_bytes", "dense_cycles"), _is_count),
    },
}
_KINDS: dict[str, Checks] = {
    "layers": _IMAGE,
    "model": _IMAGE | {"context": _is_count},
    "shard": _IMAGE | {"context": _is_count, "shard": _is_table, "segments": _is_list},
    "devices": {"context": _is_count, "devices": _is_count, "shards": _is_list},
}


def contradiction(manifest: Mapping[str, object]) -> str | None:
    """Return what cannot be in a manifest of this format, in words; None where all of it can."""
    kind = manifest.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        return f"kind must be one of {', '.join(_KINDS)}, not {kind!r}"
    if wrong := _unfit(manifest, _WHOLE | _KINDS[kind]):
        return wrong
    if kind == "devices":
        return None
    for name, region in manifest["regions"].items():
        if wrong := _region(region, manifest["memory_bytes"]):
            return f"region {name}: {wrong}"
    for step in manifest["operations"]:
        if wrong := _operation(step):
            return f"operations: {wrong}"
    return None if _has_program(manifest["regions"]) else "it has no program"


def _region(region: object, memory_bytes: int) -> str | None:
    if not isinstance(region, dict):
        return "it must be a table"
    if wrong := _unfit(region, _REGION):
        return wrong
    if region["address"] + region["bytes"] > memory_bytes:
        return f"it must end by byte {memory_bytes:,} of the memory"
    if "file" not in region:
        return None
    if wrong := _unfit(region, _CONTENTS):
        return wrong
    digits = 8 * -(-region["bytes"] // BLOCK_BYTES)
    if len(region["crc32"]) != digits or not _DIGITS.issuperset(region["crc32"]):
        return f"crc32 must have {digits} hexadecimal digits"
    return None


def _operation(step: object) -> str | None:
    kind = step.get("operation") if isinstance(step, dict) else None
    if not isinstance(kind, str) or kind not in _OPERATIONS:
        return f"an operation must be one of {', '.join(_OPERATIONS)}, not {kind!r}"
    return _unfit(step, _OPERATIONS[kind])


def _unfit(entries: Mapping[str, object], checks: Checks) -> str | None:
    for name, fits in checks.items():
        if name not in entries:
            return f"{name} is missing"
        if not fits(entries[name]):
            return f"{name} cannot be {repr(entries[name])[:_SHOWN]}"
    return None


def _has_program(regions: Mapping[str, dict]) -> bool:
    return "file" in regions.get("program", {})
