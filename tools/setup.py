"""Bring the virtual environment and the system's tools up to date; instant where they are.

`make` calls this before everything else. It needs nothing but the standard library: it runs on a
machine where nothing is installed yet.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
LOG = VENV / "setup.log"

# Holds the hash of the requirements that are installed, or INCOMPLETE from the first change until
# the last: what an interrupted run leaves behind is never taken as good.
STAMP = VENV / "spikeloom-setup"
INCOMPLETE = "incomplete"

PROGRESS_SECONDS = 10  # between two lines where stderr is no terminal

MINIMUM_PYTHON = (3, 11)
TOOL_PACKAGES = {"g++": "g++", "make": "make", "perl": "perl"}  # command: Debian package
TEST_PACKAGES = {"iverilog": "iverilog"}  # the same; tests that need it are skipped without it
WAVE_PACKAGES = {"lz4.h": "liblz4-dev", "zlib.h": "zlib1g-dev"}  # header: Debian package


class SetupError(Exception):
    """What is wrong and what to do about it, in one sentence."""


def read_requirements():
    """Return the pinned requirements of pyproject.toml, those of development included."""
    import tomllib  # not at the top: check_python() comes first

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + project["optional-dependencies"]["dev"]


def check_python():
    """Raise SetupError where this Python is too old."""
    if sys.version_info < MINIMUM_PYTHON:
        found = "{}.{}".format(*sys.version_info)
        raise SetupError(f"Python must be 3.11 or newer, not {found}: name another with PYTHON=")


def install_tools():
    """Install the compiler and its kin where they lack; raise SetupError where that fails."""
    packages = [pkg for tool, pkg in TOOL_PACKAGES.items() if shutil.which(tool) is None]
    if packages:
        install_packages(packages)


def install_test_tools():
    """Install what single tests need, where that can be done from here; without it go on."""
    packages = [pkg for tool, pkg in TEST_PACKAGES.items() if shutil.which(tool) is None]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        try:
            install_packages(packages)
        except SetupError as error:
            print(f"setup: tests that need it are skipped: {error}", file=sys.stderr)


def install_wave_libraries():
    """Install what FST dumps need; without it say so and go on, since VCD dumps need nothing."""
    packages = [pkg for header, pkg in WAVE_PACKAGES.items() if not has_header(header)]
    try:
        if packages:
            install_packages(packages)
    except SetupError as error:
        print(f"setup: waves will be VCD, not FST: {error}", file=sys.stderr)


def has_header(header):
    """Return whether the C++ compiler finds a header."""
    command = ["g++", "-fsyntax-only", "-x", "c++", "-"]
    source = f"#include <{header}>\n"
    return subprocess.run(command, input=source, text=True, capture_output=True).returncode == 0


def install_packages(packages):
    """Install Debian packages; raise SetupError where that cannot be done from here."""
    names = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(f"this system lacks {names}: install it (apt-get install {names}) first")
    print(f"setup: installing {names}", file=sys.stderr)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True
        )
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise SetupError(f"apt-get could not install {names} ({reason}): install it by hand first")


def run_logged(command):
    """Run a command into the log; raise SetupError if it fails.

    Its last line stands on the terminal; elsewhere, a line every ten seconds tells it.
    """
    on_terminal = sys.stderr.isatty()
    width = shutil.get_terminal_size().columns - 1
    begin, said, ended = time.monotonic(), "", threading.Event()

    def tell():
        while not ended.wait(PROGRESS_SECONDS):
            passed = f"{time.monotonic() - begin:.0f} s"
            print("setup: " + ", ".join(filter(None, (passed, said))), file=sys.stderr, flush=True)

    with LOG.open("a", buffering=1) as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        if not on_terminal:
            threading.Thread(target=tell, daemon=True).start()
        for line in process.stdout:
            log.write(line)
            said = line.strip()[:width]
            if on_terminal:
                print("\r\033[K" + said, end="", file=sys.stderr, flush=True)
        ended.set()
        if on_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    if process.wait() != 0:
        lines = LOG.read_text().splitlines()
        errors = [line[len("ERROR: ") :] for line in lines if line.startswith("ERROR: ")]
        reason = (errors or lines or ["it said nothing"])[-1]
        raise SetupError(
            f"{command[2]} failed ({reason}): check the network and pip's index, "
            f"and {LOG.relative_to(ROOT)} for the rest"
        )


def create_venv():
    """Make an empty virtual environment, over whatever an interrupted run left."""
    try:
        import ensurepip  # noqa: F401 - Debian ships it apart from Python
    except ImportError:
        install_packages(["python{}.{}-venv".format(*sys.version_info)])
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    STAMP.write_text(INCOMPLETE)
    run_logged([sys.executable, "-m", "venv", str(VENV)])


def check_libpython():
    """Install the shared Python library that cocotb loads into the simulator, if it lacks."""
    found = subprocess.run(
        [VENV_PYTHON, "-m", "find_libpython"], capture_output=True, text=True
    ).stdout.strip()
    if not found:
        install_packages(["libpython{}.{}".format(*sys.version_info)])


def update_venv():
    """Install the pinned requirements into `.venv` unless they are there."""
    requirements = read_requirements()
    wanted = hashlib.sha256("\n".join(requirements).encode()).hexdigest()
    installed = STAMP.read_text() if STAMP.exists() else ""
    if installed == wanted and VENV_PYTHON.exists():
        return
    print("setup: installing the Python packages into .venv, once", file=sys.stderr)
    if installed == INCOMPLETE or not VENV_PYTHON.exists():
        create_venv()
    STAMP.write_text(INCOMPLETE)
    LOG.write_text("")
    run_logged([str(VENV_PYTHON), "-m", "pip", "install", *requirements])
    check_libpython()
    STAMP.write_text(wanted)


def main():
    """Set up; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--waves",
        action="store_true",
        default=os.environ.get("WAVES", "") not in ("", "0"),  # as `make` passes it on
        help="also what FST wave dumps need",
    )
    arguments = parser.parse_args()
    try:
        check_python()
        lock = os.open(ROOT, os.O_RDONLY)  # held until exit: one setup at a time
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_tools()
        if arguments.waves:
            install_wave_libraries()
        new = not STAMP.exists()
        update_venv()
        if new:  # once, not whenever it cannot be had
            install_test_tools()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nsetup: interrupted; the next run starts over", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
