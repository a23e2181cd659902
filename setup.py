"""Build the distribution; all but the two steps below stands in pyproject.toml."""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))  # an isolated build does not see it

from golden.console.version import RECORD, commit  # noqa: E402


class BuildFromCommit(build_py):
    """Build from nothing, so that no module that is gone comes along, and record the commit."""

    def run(self) -> None:
        """Build the packages."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        target = Path(self.build_lib) / "golden" / "console" / RECORD
        target.write_text(commit() + "\n")


setup(cmdclass={"build_py": BuildFromCommit})
