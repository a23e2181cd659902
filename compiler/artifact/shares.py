"""Whether the shares of several devices, each of which can be, are of one model."""

from collections.abc import Mapping, Sequence

__all__ = ["disagreement"]

_GATHERED = ("x", "attention", "between", "act")


def disagreement(shares: Sequence[Mapping]) -> str | None:
    """Return, of the manifests of all devices, which is of another model's, in words, or None."""
    ends = dict.fromkeys(("kv_heads", *_GATHERED, "logits"), 0)
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
