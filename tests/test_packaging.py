"""The distribution: it holds all that is needed, knows its commit, and runs from anywhere."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from golden.console.version import version

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hw", "golden", "compiler", "sim", "spikeloom")
LEFT_OUT = shutil.ignore_patterns("__pycache__")


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Return a clean copy of the project in a repository of its own."""
    root = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=LEFT_OUT)
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / file, root)
    git = ["git", "-c", "user.name=a", "-c", "user.email=b", "-c", "commit.gpgsign=false"]
    for arguments in (["init"], ["add", "."], ["commit", "-m", "all"]):
        run(*git, *arguments, cwd=root)
    return root


@pytest.fixture(scope="module")
def installed(source, tmp_path_factory) -> Path:
    """Return what the wheel of `source` unpacks to."""
    stale = source / "build" / "lib" / "golden" / "gone.py"  # what an older build left
    stale.parent.mkdir(parents=True)
    stale.touch()
    place = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "."]
    run(sys.executable, *build, "-w", place, cwd=source)
    (wheel,) = place.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    return place / "site"


def test_every_file_of_the_packages_is_there_and_no_other(source, installed):
    tracked = run("git", "ls-files", *PACKAGES, cwd=source).splitlines()
    found = [path for package in PACKAGES for path in (installed / package).rglob("*")]
    files = {str(path.relative_to(installed)) for path in found if path.is_file()}
    assert files == {*tracked, "golden/console/commit.txt"}


def test_it_tells_the_commit_that_it_was_built_from(source, installed, tmp_path):
    commit = run("git", "rev-parse", "--short", "HEAD", cwd=source)
    command = [sys.executable, "-m", "spikeloom", "--version"]
    line = run(*command, cwd=tmp_path, PYTHONPATH=str(installed))
    assert line == f"spikeloom {version()} ({commit})"


def test_a_layer_runs_from_another_directory_with_a_fresh_home(installed, tmp_path, stories260k):
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir(), home.mkdir()
    command = [sys.executable, "-m", "spikeloom", "sim", "run", "--model", stories260k]
    command += ["--layer", "mlp0", "--preset", "test", "--device", "cycle"]
    cache = {"SPIKELOOM_CACHE": "", "XDG_CACHE_HOME": "", "HOME": str(home)}
    run(*command, cwd=here, PYTHONPATH=str(installed), **cache)
    assert len([*here.glob("build/sim/**/report.json")]) == 1
    assert len([*home.glob(".cache/spikeloom/build/cycle_model/*.so")]) == 1
    assert {path.name for path in here.iterdir()} == {"build"}
