"""Reading .npz archives that a user names."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

__all__ = ["read_archive"]


def read_archive(file: Path | BinaryIO) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz archive by their names.

    Raises
    ------
    ValueError
        Where it is none, or damaged; the message goes on after the file's name.
    OSError
        Where there is no file to read.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception:  # a damaged one raises whatever it makes NumPy, zipfile or zlib stumble on
        raise ValueError("is no archive of arrays, or a damaged one") from None
