"""Reports of benches: JSON files, with what they were measured on."""

import json
import os
import platform
from pathlib import Path

from golden.console.places import outputs
from golden.console.version import about
from sim.rtl.verilog import tool_versions

__all__ = ["OUTPUT_ROOT", "about_machine", "read", "write"]

OUTPUT_ROOT = outputs("bench")
"""Where reports go, by bench."""


def about_machine() -> dict[str, object]:
    """Return what a time depends on: the processor, how many there are, how busy they are."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "processor": next(names, platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def write(name: str, report: dict[str, object], directory: Path) -> Path:
    """Write a report, whole or not at all; returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    part = path.with_suffix(f".{os.getpid()}.part")
    whole = {"bench": name, **about(), "versions": tool_versions(), **report}
    part.write_text(json.dumps(whole, indent=1) + "\n")
    part.replace(path)
    return path


def read(name: str, directory: Path) -> dict[str, object]:
    """Return the last report of a bench; raises ValueError where there is none."""
    try:
        return json.loads((directory / f"{name}.json").read_text())
    except FileNotFoundError:
        raise ValueError(
            f"there is no report of {name} in {directory}: run python -m bench {name} first"
        ) from None
    except ValueError:
        path = directory / f"{name}.json"
        raise ValueError(f"{path} is damaged: run python -m bench {name}") from None
