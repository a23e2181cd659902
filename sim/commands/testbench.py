"""`python -m sim testbench`."""

import argparse
import json
from pathlib import Path

from golden.commands.options import prompt
from golden.console.progress import Work
from sim.check import testbench
from sim.commands.options import given, refuse_fixed

__all__ = ["run"]

_COMPILED = ("layer", "coding", "recipe", "preset", "hardware")
_NAMES = (*_COMPILED, "model", "compiled")


def run(options: argparse.Namespace) -> int:
    """Write the bench, and print its files."""
    refuse_fixed(options, _COMPILED)
    directory = options.output or Path("build/rtl")
    asked = testbench.Asked(prompt=prompt(options), **given(options, _NAMES))
    with Work() as work:
        case, files = testbench.write(asked, directory, work.begin)
    if options.json:
        told = {
            "files": [str(file) for file in files],
            "fingerprint": case.compiled.fingerprint,
            "layer": case.layer,
            "model": case.model,
            "weights": case.compiled.manifest["weights"],
        }
        print(json.dumps(told, indent=1))
        return 0
    for file in files:
        print(file)
    return 0
