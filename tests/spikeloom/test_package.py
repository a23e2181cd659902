"""The door itself: what it offers, what importing it costs, who may go through it."""

import subprocess
import sys
from pathlib import Path

import pytest

import spikeloom
from golden.console.version import version, version_line

ROOT = Path(__file__).resolve().parents[2]


def python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_importing_it_imports_nothing_heavy_and_using_it_does():
    code = "import spikeloom, sys; print(spikeloom.__version__, *sys.modules)"
    said, *modules = python("-c", code).split()
    assert said == version()
    heavy = {"torch", "numba", "numpy", "matplotlib", "amaranth", "transformers"}
    assert not heavy & set(modules)
    used = python("-c", "import spikeloom, sys; spikeloom.encode; print(*sys.modules)").split()
    assert heavy & set(used) >= {"torch", "numpy"}
    assert not set(used) & {"matplotlib", "transformers"}


def test_every_name_is_there_and_documented():
    assert dir(spikeloom) == sorted(spikeloom.__all__)
    for name in set(spikeloom.__all__) - {"__version__"}:
        thing = getattr(spikeloom, name)
        assert thing.__doc__, name
        if thing.__module__.startswith("spikeloom"):
            public = [value for key, value in vars(thing).items() if not key.startswith("_")]
            assert all(value.__doc__ for value in public if callable(value)), name
    with pytest.raises(AttributeError, match="module 'spikeloom' has no attribute 'Modell'"):
        spikeloom.Modell  # noqa: B018


def test_the_command_passes_on_to_the_packages():
    assert python("-m", "spikeloom", "--version").strip() == version_line()
    for package in ("hw", "golden", "compiler", "sim", "board"):
        ours = python("-m", "spikeloom", package, "--help")
        assert "usage" in ours.lower()
    for wrong, said in (
        ("", "usage: spikeloom "),
        (
            "simulate",
            "spikeloom: PACKAGE must be one of hw, golden, compiler, sim, board, not simulate",
        ),
        ("hw", "usage: spikeloom hw "),
        ("sim", "usage: spikeloom sim "),
        ("board counters", "spikeloom board counters: counters are those of a board's last run"),
        ("sim run --layer mlp", "spikeloom sim run: layer must be "),
        ("sim run --seed x", "spikeloom sim run: argument --seed: "),
        ("hw generate --preset x", "spikeloom hw generate: preset must be "),
    ):
        command = [sys.executable, "-m", "spikeloom", *wrong.split()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(said), wrong
