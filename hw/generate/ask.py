"""Asks the simulators for a bench: the one place from which hardware reaches golden's numbers.

It is a process of its own, by its command line, so that hardware imports nothing of its siblings.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from hw.contract.description import describe
from hw.generate.choice import Choice

__all__ = ["BenchRefused", "bench_files"]


class BenchRefused(Exception):
    """The bench was not written; why, the other command has said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def bench_files(
    choice: Choice, directory: Path, layer: str | None, model: str | None
) -> list[Path]:
    """Write the bench of a layer for the hardware of `choice` into `directory`.

    Parameters
    ----------
    choice : Choice
        The hardware.
    directory : Path
        Where the files go.
    layer : str or None
        What it runs; None for the layers of `choice.layers`, or else the default.
    model : str or None
        Whose.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    BenchRefused
        Where the request cannot be met, with the command's exit status.
    """
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
        if choice.layers is not None and layer is None:
            of = ["--compiled", str(choice.layers)]
        else:
            hardware = Path(scratch) / "hardware.json"
            hardware.write_text(json.dumps(describe(choice.params)))
            of = ["--hardware", str(hardware), *(["--layer", layer] if layer else [])]
        command = [sys.executable, "-m", "sim", "testbench", *of, "--json", "-o", str(directory)]
        command += ["--model", model] if model else []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                said = process.communicate()[0]
            except BaseException:
                process.terminate()  # it leaves nothing behind, as it would where it is killed
                process.wait()
                raise
    if process.returncode:
        raise BenchRefused(process.returncode)
    return [Path(file) for file in json.loads(said)["files"]]
