"""`python -m spikeloom.board selftest`."""

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from golden.commands.options import prompt
from golden.console.progress import Work
from golden.console.tables import print_table
from spikeloom.board.commands.options import Connection
from spikeloom.board.layer import known_layer
from spikeloom.board.selftest import selftest

__all__ = ["run"]

_MODEL = "stories260k"


def run(options: argparse.Namespace) -> int:
    """Test a board, and print each step with what it found."""
    if options.seed < 0:
        raise ValueError(f"--seed must be 0 or more, not {options.seed}")
    layers, model = options.layer.split(","), options.model or _MODEL
    with Work() as work, ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spikeloom-")))
        connection = Connection(options, stack, work.say, work.reach)
        params = connection.params()
        case = known_layer(
            params,
            directory / "compiled",
            model=model,
            layers=layers,
            prompt=prompt(options),
            say=work.begin,
        )
        memory_bytes = options.memory_bytes
        if memory_bytes is None:
            memory_bytes = case.compiled.memory_bytes
        if memory_bytes < case.compiled.memory_bytes:
            raise ValueError(
                f"--memory-bytes must be at least {case.compiled.memory_bytes}, which the layer "
                f"needs, not {memory_bytes}"
            )
        work.begin("connecting")
        board = connection.board(params, memory_bytes)
        steps = []
        for step in selftest(
            board,
            case,
            memory_bytes,
            lines_bytes=connection.memory_bytes,
            seed=options.seed,
            say=work.begin,
            progress=work.reach,
        ):
            steps.append(step)
            if not options.json:
                work.write(f"{step.name:<9} {'ok  ' if step.passed else 'FAIL'} {step.found}\n")
        counted = board.counters()
        told = {
            "board": board.transport.name,
            "model": case.model,
            "layer": case.layer,
            "passed": all(step.passed for step in steps),
            "steps": [asdict(step) for step in steps],
            "counters": counted,
        }
    if options.json:
        print(json.dumps(told, indent=1))
    else:
        print_table(("counter", "value"), counted.items())
    for failure in (failure for step in steps for failure in step.failures):
        print(f"{options.program}: {failure}", file=sys.stderr)
    return 0 if told["passed"] else 1
