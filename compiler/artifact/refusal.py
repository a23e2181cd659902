"""What a schema refuses, as one sentence: where it is, and what is missing or cannot be."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

__all__ = ["sentence"]

_SHOWN = 60  # characters of a value that cannot be
_PLACES = {
    "regions": "region",
    "operations": "operation",
    "tensors": "tensor",
    "segments": "segment",
}
"""What one entry of a table or a list is called."""


def sentence(manifest: Mapping[str, object], error: ValidationError) -> str:
    """Return the first error in words."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return "its text is not all Unicode, or is nested too deep"
    value: Any = manifest
    steps: list[str | int] = []
    *path, last = first["loc"] or ("",)
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step]
        else:
            continue  # which of several kinds was tried
        steps.append(step)
    reason = first.get("ctx", {}).get("error")
    if isinstance(reason, ValueError) and str(reason):
        place = steps if last == "" else [*steps, last]
        return f"{_where(place)}{reason}"
    if first["type"] == "missing":
        return f"{_where(steps)}{last} is missing"
    shown = first["input"]
    if steps and isinstance(last, str) and not (isinstance(value, dict) and last in value):
        last = steps.pop()  # it was a kind that was tried, or a key that cannot be
    if steps and steps[-1] in _PLACES:
        last = f"{_PLACES[str(steps.pop())]} {last}"
        if first["type"].startswith("union_tag"):
            return f"{last} must be one of ENCODE, MATMUL, not {shown.get('operation')!r}"
    elif isinstance(last, int) and steps:
        last, shown = steps.pop(), value  # a list is shown whole
    return f"{_where(steps)}{last} cannot be {repr(shown)[:_SHOWN]}"


def _where(steps: list[str | int]) -> str:
    """Return a place in a manifest, to begin a sentence with."""
    words = []
    for step in steps:
        if words and words[-1] in _PLACES:
            words[-1] = f"{_PLACES[words[-1]]} {step}"
        else:
            words.append(str(step))
    return "".join(f"{word}: " for word in words)
