"""Builds that are killed: `python -m tests.compiler.kills DIR SEED` prints what became of each.

Each build is a process of its own, forked before anything has threads, and kills itself in the
midst of a chosen call; so no moment is left to chance but the choice.
"""

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from compiler.programs.model import build_model
from compiler.storage import journal, partial
from hw.contract.presets import preset
from tests.compiler.models import RandomCheckpoint, recipe

_CHUNK_BYTES = 700  # of one pwrite: several to a region


def build(target: Path) -> None:
    """Compile a small model."""
    checkpoint = RandomCheckpoint(3)
    build_model(checkpoint, target, params=preset("test"), recipe=recipe(), context=20)


def counted(module, name: str, log: Path, kill_at: int | None, half: Callable) -> None:
    """Log each call of a function, and kill the process in the midst of one."""
    real = getattr(module, name)
    calls = 0

    lock = threading.Lock()

    def call(*arguments, **options):
        nonlocal calls
        with lock:
            calls += 1
            log.write_text(str(calls))
            if calls == kill_at:
                half(real, *arguments)
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    setattr(module, name, call)


def write_half(real, file, raw, at):
    """Write half of what is to be written."""
    real(file, raw[: len(raw) // 2], at)


def half_a_line(_, values):
    """Leave half a line at the end of the journal, whose first line is written beside it."""
    path = partial.partial_of(TARGET) / "journal"
    with (path if path.exists() else path.with_suffix(".new")).open("ab") as file:
        line = LINE(values)
        file.write(line[: len(line) // 2])


def forked(work: Callable[[], None]) -> int:
    """Run in a process of its own; returns the signal that ended it, or 0."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def contents(directory: Path) -> dict[str, bytes]:
    """Return the bytes of each file."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def main(place: Path, seed: int) -> None:
    """Kill builds at random moments of each kind, go on, and compare."""
    global TARGET, LINE
    LINE = journal._line
    rng = random.Random(seed)
    log = place / "calls"

    def watched(kind: str, kill_at: int | None) -> Callable[[], None]:
        def work() -> None:
            import compiler.passes.emit

            real = os.pwrite
            os.pwrite = lambda file, raw, at: real(file, raw[:_CHUNK_BYTES], at)
            if kind == "write":
                counted(compiler.passes.emit.os, "pwrite", log, kill_at, write_half)
            elif kind == "journal":
                counted(journal, "_line", log, kill_at, half_a_line)
            else:
                counted(partial, "swap", log, kill_at, lambda *_: None)
            build(TARGET)

        return work

    results = []
    for kind, moments in (("write", 4), ("journal", 3), ("swap", 1)):
        TARGET = place / f"whole-{kind}"
        forked(watched(kind, None))
        calls, whole = int(log.read_text()), contents(TARGET)
        for moment in sorted(rng.sample(range(1, calls + 1), moments)):
            TARGET = place / f"{kind}-{moment}"
            killed = forked(watched(kind, moment))
            left = sorted(path.name for path in place.glob(f"*{TARGET.name}*"))
            forked(watched("write", None))
            results.append(
                {
                    "kind": kind,
                    "moment": moment,
                    "of": calls,
                    "killed": killed == signal.SIGKILL,
                    "left": left == [f".{TARGET.name}.partial"],
                    "identical": contents(TARGET) == whole,
                    "writes_of_the_second": int(log.read_text()),
                    "gone": not partial.partial_of(TARGET).exists(),
                }
            )
            log.write_text("0")
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
