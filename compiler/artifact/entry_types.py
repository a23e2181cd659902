"""What an entry of a manifest can be by itself: a count, a text, a list of such."""

from collections.abc import Callable, Collection, Mapping

from hw.contract.isa import Coding

__all__ = [
    "HEX_DIGITS",
    "Check",
    "Checks",
    "is_coding",
    "is_count",
    "is_digest",
    "is_flag",
    "is_length",
    "is_list",
    "is_named",
    "is_number",
    "is_run",
    "is_table",
    "is_text",
    "list_of",
    "one_of",
    "table_of",
    "unfit",
]

Check = Callable[[object], bool]
Checks = Mapping[str, Check]

HEX_DIGITS = frozenset("0123456789abcdef")
_SHOWN = 60  # characters of a value


def is_count(value: object) -> bool:
    """Return whether it is a whole number of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_length(value: object) -> bool:
    """Return whether it is a whole number of at least 1."""
    return is_count(value) and value != 0


def is_number(value: object) -> bool:
    """Return whether it is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_flag(value: object) -> bool:
    """Return whether it is true or false."""
    return isinstance(value, bool)


def is_text(value: object) -> bool:
    """Return whether it is text."""
    return isinstance(value, str)


def is_list(value: object) -> bool:
    """Return whether it is a list."""
    return isinstance(value, list)


def is_table(value: object) -> bool:
    """Return whether it has entries by name."""
    return isinstance(value, dict)


def is_named(value: object) -> bool:
    """Return whether it is a table with a name."""
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def is_digest(value: object) -> bool:
    """Return whether it is a SHA-256 in hex."""
    return isinstance(value, str) and len(value) == 64 and HEX_DIGITS.issuperset(value)


def is_coding(value: object) -> bool:
    """Return whether it names a coding of spikes."""
    return value in [coding.name.lower() for coding in Coding]


def is_run(value: object) -> bool:
    """Return whether it is the first of a run of elements, and how many there are."""
    return isinstance(value, list) and len(value) == 2 and all(map(is_count, value))


def one_of(values: Collection[str]) -> Check:
    """Return what tells whether something is one of a few texts."""
    return lambda value: isinstance(value, str) and value in values


def list_of(fits: Check) -> Check:
    """Return what tells whether something is a list of what `fits`."""
    return lambda value: isinstance(value, list) and all(map(fits, value))


def table_of(fits: Check) -> Check:
    """Return what tells whether something is a table of what `fits`, by name."""
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def unfit(entries: Mapping[str, object], checks: Checks) -> str | None:
    """Return which of the entries is missing or cannot be, in words, or None."""
    for name, fits in checks.items():
        if name not in entries:
            return f"{name} is missing"
        if not fits(entries[name]):
            return f"{name} cannot be {repr(entries[name])[:_SHOWN]}"
    return None
