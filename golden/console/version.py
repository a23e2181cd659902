"""Which Spikeloom this is: its version, its commit, and a digest of its sources."""

import hashlib
import importlib.metadata
import subprocess
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from golden.console import places

__all__ = ["RECORD", "about", "commit", "digest", "sources", "version", "version_line"]

UNKNOWN = "unknown"
"""The commit where nothing tells it."""

RECORD = "commit.txt"
"""The file beside this one that tells the commit; setup.py writes it into what it builds."""

_OF_SOURCES = (".py", ".h", ".cpp", ".sv", ".json", ".toml")
_GIT_SECONDS = 5


@cache
def version() -> str:
    """Return the project's version, which stands in pyproject.toml."""
    root = places.checkout()
    if root is None:
        try:
            return importlib.metadata.version("spikeloom")
        except importlib.metadata.PackageNotFoundError:  # a copy of the packages, and no more
            return UNKNOWN
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]


@cache
def commit() -> str:
    """Return the short Git commit, with `+dirty` where tracked files differ, or `UNKNOWN`.

    An installed package has that which it was built from.
    """
    root = places.checkout()
    if root is None:
        record = Path(__file__).with_name(RECORD)
        return record.read_text().strip() if record.exists() else UNKNOWN
    if not (root / ".git").exists():  # else Git looks further up, for another project's
        return UNKNOWN
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+dirty", "--exclude=*"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):  # no Git, or it does not answer
        return UNKNOWN
    return done.stdout.strip()


def version_line() -> str:
    """Return what `--version` prints, such as `spikeloom 0.1.0 (1a2b3c4)`."""
    return f"spikeloom {version()} ({commit()})"


def about() -> dict[str, str]:
    """Return what a report says of the program that wrote it: `version` and `commit`."""
    return {"version": version(), "commit": commit()}


def sources(*packages: str) -> str:
    """Return the digest of all that packages, such as ``golden``, compute by."""
    files = (path for package in packages for path in (places.SOURCES / package).rglob("*"))
    return digest(path for path in files if path.suffix in _OF_SOURCES)


def digest(paths: Iterable[Path]) -> str:
    """Return the SHA-256, in hex, over the names and contents of files."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        whole.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()
