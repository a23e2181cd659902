"""The codings by which counts become spikes, by their names."""

from hw.contract.isa import Coding

__all__ = ["check_coding", "coding_called", "coding_names"]


def coding_names() -> list[str]:
    """Return the names of the codings that hardware knows."""
    return [coding.name.lower() for coding in Coding]


def coding_called(name: str) -> Coding:
    """Return the coding of a name; raises ValueError where hardware knows none."""
    if name not in coding_names():
        raise ValueError(f"coding must be one of {', '.join(coding_names())}, not {name!r}")
    return Coding[name.upper()]


def check_coding(name: str) -> None:
    """Raise ValueError where hardware knows no coding of a name."""
    coding_called(name)
