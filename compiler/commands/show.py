"""`python -m compiler show`."""

import argparse
import json

from compiler.artifact.listing import listing
from compiler.artifact.program import load
from golden.console.tables import print_lines
from hw.contract.isa import MODIFIERS
from hw.contract.presets import preset

__all__ = ["run"]

_OPERANDS = 13  # the column at which an instruction's operands begin


def run(options: argparse.Namespace) -> None:
    """Print the instructions of a compiled directory."""
    compiled = load(options.directory, preset(options.preset) if options.preset else None)
    if not options.json:
        print_lines(*listing(compiled).splitlines(), indent=_OPERANDS)
        return
    listed = []
    for opcode, fields in compiled.instructions():
        plain = {k: v for k, v in fields.items() if v or k not in MODIFIERS}
        listed.append({"operation": opcode.name, **plain})
    print(json.dumps(listed, indent=1))
