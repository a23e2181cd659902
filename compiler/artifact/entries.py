"""Whether a manifest's entries can be: a checksum that fits says only that they were written so."""

from collections.abc import Mapping

from compiler.artifact import device_entries
from compiler.artifact.entry_types import (
    HEX_DIGITS,
    Checks,
    is_coding,
    is_count,
    is_digest,
    is_flag,
    is_length,
    is_list,
    is_named,
    is_number,
    is_table,
    is_text,
    list_of,
    one_of,
    table_of,
    unfit,
)
from compiler.storage.checksums import BLOCK_BYTES
from compiler.storage.directory import is_contents

__all__ = ["contradiction"]

_TOKEN_BYTES = 4

_WHOLE: Checks = {
    "model": is_named,
    "weights": one_of(("real", "synthetic", "none")),
    "layers": list_of(is_text),
    "recipe": is_named,
    "coding": is_coding,
    "params": is_table,
    "fingerprint": is_digest,
}
_IMAGE: Checks = {
    "tokens": is_count,
    "memory_bytes": is_count,
    "regions": is_table,
    "operations": is_list,
}
_KINDS: dict[str, Checks] = {
    "layers": _IMAGE,
    "model": {**_IMAGE, "context": is_count},
    "shard": {**_IMAGE, "context": is_count, **device_entries.SHARD},
    "devices": {"context": is_count, **device_entries.DEVICES},
}
_REGION: Checks = {
    "kind": is_text,
    "address": is_count,
    "bytes": is_count,
    "channels": is_count,
}
_CONTENTS: Checks = {
    "file": is_contents,
    "offset": is_count,
    "sha256": is_digest,
    "crc32": is_text,
}
_SITE: Checks = {
    "rule": is_text,
    **dict.fromkeys(("max_count", "multiplier", "divisor", "peak", "dead_zone"), is_count),
}
_OPERATIONS: dict[str, Checks] = {
    "ENCODE": {"site": is_text, "channels": is_length, **_SITE},
    "MATMUL": {
        **dict.fromkeys(("matrix", "site"), is_text),
        **dict.fromkeys(("channels", "outputs", "weight_width", "tiles"), is_length),
        **dict.fromkeys(("first_row", "weight_bytes", "dense_cycles"), is_count),
        "has_bias": is_flag,
    },
}
_PLACES = {"ENCODE": ("input",), "MATMUL": ("weights", "channel_words", "output")}
_SCHEDULE: Checks = {
    **dict.fromkeys(("profile", "tile", "batch"), is_text),
    "coding": is_coding,
    "codings": table_of(is_coding),
    **dict.fromkeys(("position", "latency"), is_count),
    "predicted_cycles": table_of(is_count),
}


def contradiction(manifest: Mapping[str, object]) -> str | None:
    """Return what cannot be in a manifest of this format, in words; None where all of it can."""
    kind = manifest.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        return f"kind must be one of {', '.join(_KINDS)}, not {kind!r}"
    if wrong := unfit(manifest, {**_WHOLE, **_KINDS[kind]}):
        return wrong
    if kind == "devices":
        return device_entries.devices(manifest)
    if "schedule" in manifest and (wrong := _schedule(manifest["schedule"])):
        return f"schedule: {wrong}"
    for name, region in manifest["regions"].items():
        if wrong := _region(region, manifest["memory_bytes"]):
            return f"region {name}: {wrong}"
    end, last = 0, ""
    for name, region in sorted(manifest["regions"].items(), key=lambda item: item[1]["address"]):
        if region["address"] < end:
            return f"region {name}: it must not begin within {last}"
        end, last = region["address"] + region["bytes"], name
    if "file" not in manifest["regions"].get("program", {}):
        return "it has no program"
    if wrong := _operations(manifest["operations"], manifest["regions"]):
        return f"operations: {wrong}"
    if kind != "layers":
        tokens = manifest["regions"].get("tokens", {"bytes": 0})
        if tokens["bytes"] < _TOKEN_BYTES * (manifest["context"] + 1):
            return f"its regions have no room for the tokens of {manifest['context']:,} positions"
    return device_entries.shard(manifest) if kind == "shard" else None


def _region(region: object, memory_bytes: int) -> str | None:
    if not isinstance(region, dict):
        return "it must be a table"
    if wrong := unfit(region, _REGION):
        return wrong
    if region["address"] + region["bytes"] > memory_bytes:
        return f"it must end by byte {memory_bytes:,} of the memory"
    if "file" not in region:
        return None
    if wrong := unfit(region, _CONTENTS):
        return wrong
    digits = 8 * -(-region["bytes"] // BLOCK_BYTES)
    if len(region["crc32"]) != digits or not HEX_DIGITS.issuperset(region["crc32"]):
        return f"crc32 must have {digits} hexadecimal digits"
    return None


def _operations(steps: list, regions: Mapping[str, object]) -> str | None:
    encoded = None
    for step in steps:
        kind = step.get("operation") if isinstance(step, dict) else None
        if not isinstance(kind, str) or kind not in _OPERATIONS:
            return f"an operation must be one of {', '.join(_OPERATIONS)}, not {kind!r}"
        places = dict.fromkeys(_PLACES[kind], one_of(regions))
        if wrong := unfit(step, {**_OPERATIONS[kind], **places}):
            return wrong
        if kind == "ENCODE":
            encoded = step["site"]
        elif step["site"] != encoded:
            return f"the MATMUL of {step['matrix']} must follow the ENCODE of {step['site']}"
    return None


def _schedule(schedule: object) -> str | None:
    if not isinstance(schedule, dict):
        return "it must be a table"
    if "order" in schedule:
        return "order is of an earlier version, which ordered channels"
    checks = _SCHEDULE
    if "words_a_cycle" in schedule:  # not in those of before
        checks = {**checks, "words_a_cycle": is_number}
    return unfit(schedule, checks)
