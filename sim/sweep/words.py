"""Words that a sweep's texts share."""

__all__ = ["many"]


def many(number: int, what: str) -> str:
    """Return how many there are of what, which takes an s in the plural."""
    return f"{number} {what}" + "s" * (number != 1)
