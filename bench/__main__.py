"""Command line of the benches: ``python -m bench [NAME ...]``."""

import argparse
import sys
import time
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench.reports import OUTPUT_ROOT
from golden.console.errors import sentence_of
from hw.contract.presets import PRESETS

__all__ = ["BENCHES", "main"]

BENCHES = {
    "roofline": "layers of SmolLM2-135M on the RTL: cycles against what their bytes need",
    "tokens": "whole tokens of SmolLM2-135M on the RTL, by position and recipe (half an hour)",
    "profile": "SmolLM2-135M by a measured profile: cycles predicted and simulated",
    "front": "perplexity of SmolLM2-135M against bytes skipped, and what each step gains (minutes)",
    "arrays": "the spike array against a MAC array, with silent channels skipped and fetched",
    "area": "LUTs, DSPs and memory of both arrays on two FPGA families, by Yosys (minutes)",
    "sim_speed": "cycles a second and build time of the simulators (minutes)",
    "stream": "compiling random weights of 7B shape from disk to disk (minutes, 40 GB of disk)",
}
"""The benches by name, in the order in which all are run."""

_ABOUT = "Measurements of Spikeloom. Without a name, all are run:\n" + "\n".join(
    f"  {name:10} {about}" for name, about in BENCHES.items()
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 1 where results are wrong, 2 at a wrong request."""
    options = _parser().parse_args(arguments)
    from sim.errors import ToolError  # what takes seconds is imported late

    try:
        for name in options.names or BENCHES:
            if name not in BENCHES:
                raise ValueError(f"bench must be one of {', '.join(BENCHES)}, not {name!r}")
        for name in options.names or BENCHES:
            _run(name, options)
    except (ValueError, ToolError) as error:
        return _complain(error, 2)
    except RuntimeError as error:  # a result is wrong
        return _complain(error, 1)
    except OSError as error:
        return _complain(sentence_of(error), 2)
    except KeyboardInterrupt:
        return 130
    return 0


def _complain(sentence: object, status: int) -> int:
    print(f"python -m bench: {sentence}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m bench",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", metavar="NAME", nargs="*", help="benches to run (default: all)")
    add("--model", metavar="M", help="a known name or a checkpoint (default: smollm2-135m)")
    add(
        "--preset",
        metavar="P",
        help=f"hardware: {', '.join(PRESETS)} (default: each bench's own, see docs/performance.md)",
    )
    add(
        "--text",
        metavar="FILE",
        type=Path,
        help="what the benches profile and front work on (default: this project's pages)",
    )
    add("--docs", action="store_true", help="write tables and figures of docs/ anew as well")
    add(
        "--from-reports",
        action="store_true",
        help="run nothing: take the last reports, to write docs/ anew or to print them",
    )
    add("-o", "--output", metavar="DIR", type=Path, default=OUTPUT_ROOT, help="of the reports")
    return parser


def _run(name: str, options: argparse.Namespace) -> None:
    from bench import reports
    from bench.docs import write_docs
    from bench.tables import TABLES

    if options.from_reports:
        report = reports.read(name, options.output)
    else:
        report = _measure(name, options)
        path = reports.write(name, report, options.output)
    try:
        table = TABLES[name](report)
    except (LookupError, TypeError):
        file = options.output / f"{name}.json"
        raise ValueError(f"{file} is no report of this bench: run python -m bench {name}") from None
    print(f"# {name}\n\n{table}\n")
    if not options.from_reports:
        print(f"report: {path}")
    if options.docs:
        for written in write_docs(name, options.output):
            print(f"written: {written}")


def _measure(name: str, options: argparse.Namespace) -> dict[str, object]:
    import torch

    from bench import area, arrays, front, profile, reports, roofline, sim_speed, stream, tokens

    torch.set_num_threads(1)  # threads waiting for each other would disturb what is measured
    choices: dict[str, object] = {}
    if options.model and name not in ("area", "stream"):
        choices["model"] = options.model
    if options.text and name in ("profile", "front"):
        choices["text"] = options.text
    if options.preset:
        choices |= {
            "profile": {"preset_name": options.preset},
            "roofline": {"preset_name": options.preset},
            "tokens": {"preset_name": options.preset},
            "arrays": {"preset_name": options.preset},
            "area": {"array_preset": options.preset, "tops": (options.preset,)},
            "sim_speed": {"presets": (options.preset,)},
        }.get(name, {})
    modules = {
        "roofline": roofline,
        "tokens": tokens,
        "profile": profile,
        "front": front,
        "arrays": arrays,
        "area": area,
        "sim_speed": sim_speed,
        "stream": stream,
    }
    machine = reports.about_machine()
    console = Console(stderr=True)
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    begin = time.perf_counter()
    with progress:
        task = progress.add_task(name, total=None)
        report = modules[name].measure(
            say=lambda doing: progress.update(task, description=f"{name}: {doing}"), **choices
        )
    return {"machine": machine, "total_seconds": round(time.perf_counter() - begin, 1), **report}


if __name__ == "__main__":
    sys.exit(main())
