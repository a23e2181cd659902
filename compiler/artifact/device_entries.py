"""Whether what a manifest says of several devices can be: how many there are, and a device's share.

Shares that can be each by itself may still not be of one model: `disagreement` tells.
"""

from collections.abc import Mapping, Sequence

from compiler.artifact.entry_types import (
    Checks,
    is_count,
    is_digest,
    is_run,
    is_table,
    is_text,
    list_of,
    unfit,
)
from hw.contract import isa

__all__ = ["DEVICES", "SHARD", "devices", "disagreement", "shard"]

DEVICES: Checks = {"devices": is_count, "shards": list_of(is_digest)}
SHARD: Checks = {"shard": is_table, "segments": list_of(is_table)}

_HEADER_BYTES = isa.HEADER.size // 8
_GATHERED = ("x", "attention", "between", "act")
_RUNS = ("kv_heads", *_GATHERED, "logits")
_SHARE: Checks = {**dict.fromkeys(("device", "devices"), is_count), **dict.fromkeys(_RUNS, is_run)}
_EXCHANGES = (*_GATHERED, "tokens")
_SEGMENT: Checks = {
    "name": is_text,
    "offset": is_count,
    "exchange": lambda value: value in _EXCHANGES,
}


def devices(manifest: Mapping) -> str | None:
    """Return what cannot be in a manifest of several devices, in words, or None."""
    count, shares = manifest["devices"], len(manifest["shards"])
    if not count or count != shares:
        return f"shards must be of {max(1, count):,} devices, not of {shares:,}"
    return None


def shard(manifest: Mapping) -> str | None:
    """Return what cannot be in a device's share, in words, or None."""
    share, regions = manifest["shard"], manifest["regions"]
    if wrong := unfit(share, _SHARE):
        return f"shard: {wrong}"
    if share["device"] >= share["devices"]:
        return f"shard: device must be below {share['devices']}, not {share['device']}"
    for name in (*_GATHERED, "logits"):
        first, count = share[name]
        end = count if name == "logits" else first + count  # a device has its own logits only
        if end > regions.get(name, {"channels": -1})["channels"]:
            return f"shard: {name} must lie within the region {name}"
    if not manifest["segments"]:
        return "segments cannot be []"
    for segment in manifest["segments"]:
        if wrong := unfit(segment, _SEGMENT):
            return f"segments: {wrong}"
        if segment["offset"] + _HEADER_BYTES > regions["program"]["bytes"]:
            return f"segments: {segment['name']} must begin within the program"
    return None


def disagreement(shares: Sequence[Mapping]) -> str | None:
    """Return, of the manifests of all devices, which is of another model's, in words, or None."""
    ends = dict.fromkeys(_RUNS, 0)
    for device, manifest in enumerate(shares):
        share = manifest["shard"]
        if (share["device"], share["devices"]) != (device, len(shares)):
            return f"device {device} is device {share['device']} of {share['devices']}"
        if _common(manifest) != _common(shares[0]):
            return f"device {device} has other programs or vectors than device 0"
        for name, end in ends.items():
            if share[name][0] != end:
                return f"{name} of device {device} must begin at {end}, not at {share[name][0]}"
            ends[name] = end + share[name][1]
    return None


def _common(manifest: Mapping) -> tuple:
    """Return what all devices' shares have in common."""
    exchanges = [(segment["name"], segment["exchange"]) for segment in manifest["segments"]]
    lengths = [manifest["regions"][name]["channels"] for name in _GATHERED]
    return manifest["context"], exchanges, lengths
