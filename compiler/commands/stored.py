"""`python -m compiler verify` and `show`: what was compiled before."""

import argparse
import json
import time

from compiler.artifact.listing import listing
from compiler.artifact.program import load
from compiler.commands import devices as devices_cli
from compiler.commands.summary import summarize
from compiler.programs.devices import load_devices
from hw.contract.isa import MODIFIERS
from hw.contract.params import HwParams
from hw.contract.presets import preset

__all__ = ["add"]


def add(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    for name, run, purpose in (
        ("verify", _verify, "check every file of a compiled model against its checksums"),
        ("show", _show, "print the program of a compiled model"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("directory", metavar="DIR", help="the compiled model")
        command.add_argument("--preset", help="hardware that it must be for")
        command.set_defaults(run=run)


def _verify(options: argparse.Namespace) -> None:
    begin = time.monotonic()
    if devices_cli.is_for_devices(options.directory):
        shares = load_devices(options.directory, _hardware(options))
        devices_cli.summarize(shares, options.json, time.monotonic() - begin)
        return
    compiled = load(options.directory, _hardware(options))
    summarize(compiled, options, time.monotonic() - begin)


def _show(options: argparse.Namespace) -> None:
    compiled = load(options.directory, _hardware(options))
    if not options.json:
        print(listing(compiled))
        return
    listed = []
    for opcode, fields in compiled.instructions():
        plain = {k: v for k, v in fields.items() if v or k not in MODIFIERS}
        listed.append({"operation": opcode.name, **plain})
    print(json.dumps(listed, indent=1))


def _hardware(options: argparse.Namespace) -> HwParams | None:
    """Return the hardware that a directory must be for, if any is named."""
    return preset(options.preset) if options.preset else None
