"""One host process at a time: two that share an accelerator would overwrite each other's runs."""

import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from spikeloom.board.errors import BoardError

__all__ = ["LITEX_PORT", "alone", "lock_file"]

LITEX_PORT = 1234
"""Of LiteX's server, where none is named."""


def lock_file(name: str) -> Path:
    """Return the lock of a board, which all users of this machine share."""
    digest = hashlib.sha256(_place(name).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"spikeloom-board-{digest}.lock"


def _place(name: str) -> str:
    """Return where a way leads, which may have several spellings: a device, or a host's port."""
    kind, _, rest = name.partition(":")
    device, (host, colon, port) = rest.partition("@")[0], rest.rpartition(":")
    if device.startswith("/") or os.path.exists(device):
        return os.path.realpath(device)
    if kind == "litex" and not colon:
        host, colon, port = rest, ":", str(LITEX_PORT)
    try:
        return f"{socket.gethostbyname(host)}:{port}" if colon else name
    except (OSError, UnicodeError):
        return name


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep all other processes from the board that the user calls `name`; this one may nest it.

    Raises
    ------
    BoardError
        Where another process has it, or its lock cannot be made.
    """
    file = lock_file(name)
    owner = file.with_suffix(".pid")
    lock = FileLock(file, mode=0o666, thread_local=False, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = owner.read_text().strip() if owner.exists() else "?"
        raise BoardError(
            f"{name} is in use by another process ({who}): wait for it, or end it"
        ) from None
    except OSError as error:
        raise BoardError(
            f"{file} cannot be locked ({error.strerror}): it is another user's; remove it when "
            f"nobody uses {name}"
        ) from None
    try:
        owner.write_text(f"{os.getpid()}\n")
        yield
    finally:
        if lock.lock_counter == 1:
            owner.unlink(missing_ok=True)
        lock.release()
