"""The bytes of a file, read where and when they are asked for: a mapping would stay in memory."""

import os
from pathlib import Path

import numpy as np

from golden.console.errors import CheckpointError

__all__ = ["FileBytes", "require_file"]

_AHEAD_BYTES = 1 << 23


def require_file(path: Path) -> None:
    """Raise `CheckpointError` where what lies at `path` is no regular file; a pipe would wait."""
    if path.exists() and not path.is_file():
        kind = "a directory" if path.is_dir() else "a pipe" if path.is_fifo() else "a device"
        raise CheckpointError(
            f"{path} must be a regular file, not {kind}: put the file itself there"
        )


class FileBytes:
    """A file open for reading, by any number of threads.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)

    def read(self, start: int, length: int, *, ahead: bool = True) -> np.ndarray:
        """Return bytes `start` to `start + length`: uint8, (length,).

        `ahead` says that what follows is asked for next.

        Raises
        ------
        ValueError
            Where the file ends before.
        OSError
            Where it cannot be read, naming the file.
        """
        data = np.empty(length, np.uint8)
        view, done = memoryview(data.data), 0
        try:
            while done < length:
                came = os.preadv(self._file.fileno(), [view[done:]], start + done)
                if not came:
                    raise ValueError(f"{self.path} ends {length - done:,} bytes before it does")
                done += came
            if ahead:  # it may come while this is worked on
                os.posix_fadvise(
                    self._file.fileno(), start + length, _AHEAD_BYTES, os.POSIX_FADV_WILLNEED
                )
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        return data
