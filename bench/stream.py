"""Compiling a model of 7B shape from disk to disk: time against a copy, memory, kill and resume.

The checkpoint is synthetic: random weights of LLaMA-2 7B's shape, for its size only. Before each
measurement all is on disk and the checkpoint is out of the page cache; each ends when what it wrote
is on disk.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.reports import OUTPUT_ROOT
from bench.synthetic import config_of, write_checkpoint
from compiler.storage.partial import partial_of
from golden.console.places import SOURCES

__all__ = ["measure"]

_SHARD_BYTES = 10_000_000_000  # as the published checkpoint has it
_SEED = 1


def measure(
    say: Callable[[str], None], *, shape: str = "7b", recipes: tuple[str, ...] = ("w8", "w4")
) -> dict[str, object]:
    """Return the report; what is written on the way (40 GB for 7b) is removed again."""
    place = OUTPUT_ROOT / "stream"
    shutil.rmtree(place, ignore_errors=True)
    checkpoint = place / "checkpoint"
    try:
        say("writing the checkpoint")
        size = write_checkpoint(checkpoint, config_of(shape), seed=_SEED, shard_bytes=_SHARD_BYTES)
        report: dict[str, object] = {
            "shape": shape,
            "weights": f"synthetic, seed {_SEED}",
            "checkpoint_bytes": size,
            "recipes": {},
        }
        say("copying the checkpoint")
        report["copy"] = _timed(checkpoint, size, ["cp", "-r", checkpoint, place / "copy"])
        shutil.rmtree(place / "copy")
        for recipe in recipes:
            say(f"compiling, {recipe}")
            command = _command(checkpoint, place / recipe, recipe)
            files = (place / recipe).iterdir
            report["recipes"][recipe] = {
                **_timed(checkpoint, size, command),
                "compiled_bytes": sum(path.stat().st_size for path in files()),
            }
        say("compiling, killing it, and going on")
        report["resumed"] = _resumed(checkpoint, place, recipes[0])
        return report
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _command(checkpoint: Path, directory: Path, recipe: str) -> list[str | Path]:
    return [sys.executable, "-m", "bench.stream", checkpoint, directory, recipe]


def _timed(checkpoint: Path, size: int, command: list[str | Path]) -> dict[str, object]:
    _forget(checkpoint)
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=SOURCES)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    ended = time.perf_counter() - begin
    os.sync()
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with status {process.returncode}")
    return {
        "seconds": round(seconds, 1),
        "seconds_before_sync": round(ended, 1),
        "megabytes_per_second": round(size / seconds / 1e6, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "cores_busy": round((usage.ru_utime + usage.ru_stime) / ended, 2),
        "peak_rss_bytes": usage.ru_maxrss * 1024,
    }


def _forget(checkpoint: Path) -> None:
    """Put a directory's files out of the page cache."""
    os.sync()
    for path in checkpoint.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _resumed(checkpoint: Path, place: Path, recipe: str) -> dict[str, object]:
    """Kill a build half way, go on, and hold the result against the undisturbed one."""
    target, whole = place / "resumed", place / recipe
    regions = json.loads((whole / "manifest.json").read_text())["regions"].values()
    half = sum(1 for region in regions if region["kind"] == "weights") // 2
    journal = partial_of(target) / "journal"
    command = _command(checkpoint, target, recipe)
    process = subprocess.Popen(command, cwd=SOURCES)
    while process.poll() is None and _matrices(journal) < half:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise RuntimeError("the build ended before it was killed")
    done = _matrices(journal)
    again = _timed(checkpoint, 0, command)
    for path in whole.iterdir():
        if subprocess.run(["cmp", path, target / path.name], capture_output=True).returncode:
            raise RuntimeError(f"{path.name} differs after a kill")
    return {"killed_after_matrices": done, "identical": True, "seconds": again["seconds"]}


def _matrices(journal: Path) -> int:
    if not journal.exists():
        return 0
    return journal.read_text().count(".channel_words")


def _build(checkpoint: str, directory: str, recipe: str) -> None:
    from compiler.programs.model import build_model
    from golden.checkpoint.checkpoint import load
    from golden.recipe.recipe import load_recipe
    from hw.contract.presets import preset

    build_model(
        load(checkpoint),
        directory,
        params=replace(preset("edge"), max_channels=1 << 14),
        recipe=load_recipe(recipe),
        context=2048,
    )


if __name__ == "__main__":
    _build(*sys.argv[1:])
