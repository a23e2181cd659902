"""The driver's C library: its two files, and the header of the registers."""

import shutil
from pathlib import Path

from hw.generate import header

__all__ = ["FILES", "write"]

_HOME = Path(__file__).with_name("c")

FILES = ("spikeloom.h", "spikeloom.c", header.HEADER)
"""What is written."""


def write(directory: Path) -> list[Path]:
    """Write the library into a directory, which is made where it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in FILES[:-1]:
        shutil.copyfile(_HOME / name, directory / name)
    header.write(directory)
    return [directory / name for name in FILES]
