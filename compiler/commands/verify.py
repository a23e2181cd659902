"""`python -m compiler verify`."""

import argparse
import time

from compiler.artifact.program import load
from compiler.commands import devices
from compiler.commands.summary import summarize
from compiler.programs.devices import load_devices
from golden.console.progress import Work
from hw.contract.presets import preset

__all__ = ["run"]


def run(options: argparse.Namespace) -> None:
    """Check a compiled directory, and print what it holds."""
    begin = time.monotonic()
    hardware = preset(options.preset) if options.preset else None
    with Work(f"reading {options.directory}"):
        several = devices.is_for_devices(options.directory)
        compiled = None if several else load(options.directory, hardware)
        shares = load_devices(options.directory, hardware) if several else None
    seconds = time.monotonic() - begin
    if shares is not None:
        devices.summarize(shares, options.json, seconds)
    if compiled is not None:
        summarize(compiled, options, seconds, advice=False)
