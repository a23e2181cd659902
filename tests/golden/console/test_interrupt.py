"""Commands that are interrupted: exit status 130, at most a sentence, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Interrupts the process in the midst of importing a module, then runs a command.
IN_AN_IMPORT = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.{signal})

signal.signal(signal.SIGINT, signal.{handler})
sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = {arguments!r}
runpy.run_module({package!r}, run_name="__main__", alter_sys=True)
"""
# Ends with a thread that the interpreter waits for, and is interrupted meanwhile.
AT_THE_END = """
import os, signal, threading, time
from golden.console import interrupt

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=time.sleep, args=[60]).start()
threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
interrupt.run(lambda: 0)
"""
IN_THE_COMMAND = """
import signal
from golden.console import interrupt

signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt.run(lambda: signal.raise_signal(signal.SIGINT))
"""

TERMINATED = """
import signal
from golden.console import interrupt

with interrupt.at_once("__main__"):
    pass

def command():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        print("cleaned up", file=sys.stderr)

import sys
interrupt.run(command)
"""

FRONT = """
import signal, sys
from spikeloom import __main__ as front

def command():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        print("cleaned up", file=sys.stderr)

front._main = command
front.main()
"""


def run(script: str) -> tuple[int, str]:
    """Return exit status and stderr."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    return done.returncode, done.stderr


COMMANDS = [
    ("compiler", ["--help"], "amaranth"),
    ("golden", ["--help"], "golden.console.parser"),
    ("compiler", ["energy", "stories260k"], "torch"),
    ("golden", ["fetch", "stories260k"], "rich.console"),
    ("sim", ["run", "--layer", "mlp0"], "torch"),
    ("hw", ["generate", "--preset", "test", "-o", "/dev/null/rtl"], "hw.generate.package"),
]


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(("package", "arguments", "module"), COMMANDS)
def test_imports_end_without_a_word(package, arguments, module, stop):
    about = {"package": package, "arguments": arguments, "module": module}
    script = IN_AN_IMPORT.format(**about, handler="default_int_handler", signal=stop)
    assert run(script) == (130, "")


def test_a_job_in_the_background_that_ignores_interrupts_goes_on():
    about = {"package": "golden", "arguments": ["--help"], "module": "golden.console.parser"}
    script = IN_AN_IMPORT.format(**about, handler="SIG_IGN", signal="SIGINT")
    assert run(script) == (0, "")


@pytest.mark.parametrize("script", [IN_THE_COMMAND, AT_THE_END])
def test_a_command_ends_without_a_word(script):
    assert run(script) == (130, "")


@pytest.mark.parametrize("script", [TERMINATED, FRONT])
def test_what_is_terminated_cleans_up(script):
    assert run(script) == (130, "cleaned up\n")
