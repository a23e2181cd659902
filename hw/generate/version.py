"""The project's version, for those who see only what it has written."""

import importlib.metadata
import tomllib
from pathlib import Path

__all__ = ["project_version"]


def project_version() -> str:
    """Return the version that stands in pyproject.toml, or that is installed."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    return importlib.metadata.version("spikeloom")
