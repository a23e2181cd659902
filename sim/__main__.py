"""Command line of the simulators: ``python -m sim run``, ``generate``, ``diverge``, ``sweep``."""

from golden import interrupt

with interrupt.at_once(__name__):
    import argparse
    import json
    import sys
    from collections.abc import Mapping
    from dataclasses import replace
    from pathlib import Path
    from typing import Any, NoReturn

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from golden.errors import sentence_of
    from hw.presets import PRESETS
    from sim.diverge import cli as diverge_cli
    from sim.sweep import cli as sweep_cli

__all__ = ["main"]

_RUN = """\
Takes the vectors that reach a layer in the golden model for a prompt, compiles the layer, runs it,
and compares every output word and every counter with the golden model. Exit status: 0 where all of
that holds, 1 where something differs, 2 where the request is at fault."""

_GENERATE = """\
Compiles a whole model, which is kept for the next time, and lets a device continue a prompt: token
by token, the likeliest each time, in one program. With --check golden, golden's integer model must
make the same tokens, and the functional device have the same counters. Exit status: 0 where all of
that holds, 1 where it does not, 2 where the request is at fault."""

# What is fixed once layers, or a model, are compiled.
_COMPILED = {
    "run": ("layer", "coding", "recipe", "tokens", "rows", "array", "no_skip"),
    "generate": ("coding", "recipe", "context", "devices"),
    "diverge": ("layer", "coding", "recipe", "context"),
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if getattr(options, "compiled", None) is not None:
        fixed = _COMPILED[options.command]
        given = [name for name in fixed if getattr(options, name) is not None]
        if given:
            given = [f"--{name.replace('_', '-')}" for name in given]
            parser.error(f"{', '.join(given)}: what is compiled in {options.compiled} stands")
    elif options.command == "run" and options.layer is None:
        parser.error("--layer (such as mlp0) or --compiled must be given")
    commands = {"run": _run, "generate": _generate, "diverge": _diverge, "sweep": _sweep}
    try:
        return commands[options.command](options)
    except ValueError as error:  # each is one sentence
        return _refuse(str(error))
    except OSError as error:
        return _refuse(sentence_of(error))
    except KeyboardInterrupt:
        return 130


def _refuse(sentence: str) -> int:
    print(f"python -m sim: {sentence}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m sim", description="The simulators of Spikeloom.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_run(commands)
    _add_generate(commands)
    command = commands.add_parser(
        "diverge",
        help="find the first difference between two devices",
        description=diverge_cli.DESCRIPTION,
    )
    _add_model(command)
    _add_timing(command)
    diverge_cli.add_arguments(command)
    command = commands.add_parser(
        "sweep",
        help="measure many accelerators on a Dask cluster",
        description=sweep_cli.DESCRIPTION,
    )
    _add_model(command)
    _add_timing(command)
    sweep_cli.add_arguments(command)
    return parser


def _add_run(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "run", help="run one layer and compare it with the golden model", description=_RUN
    )
    add = command.add_argument
    add(
        "--layer",
        metavar="L",
        help="mlpN, attnN, one of qN kN vN oN gateN upN downN, or lm_head",
    )
    _add_model(command)
    add("--array", metavar="A", help="spike, or mac to compare with (default: spike)")
    add(
        "--no-skip",
        action="store_const",
        const=True,
        help="hardware that fetches silent channels too, to compare with",
    )
    add("--device", metavar="D", default="rtl", help="rtl, cycle or functional (default: rtl)")
    add("--prompt", metavar="TEXT", help="whose last tokens' vectors are taken")
    add("--tokens", metavar="M", type=int, help="how many (default: as the hardware has rows)")
    add("--rows", metavar="A:B", help="output channels of a single matrix, or how many")
    add("--compiled", metavar="DIR", type=Path, help="run this compiled directory instead")
    _add_timing(command)
    add("--waves", action="store_true", help="record waves beside the report")
    add("-o", "--output", metavar="DIR", type=Path, help="(default: build/sim/MODEL/LAYER)")
    add("--json", action="store_true", help="print the report instead of a table")


def _add_generate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "generate", help="let a whole model continue a prompt", description=_GENERATE
    )
    add = command.add_argument
    _add_model(command)
    add("--context", metavar="N", type=int, help="positions (default: all that there are)")
    add("--device", metavar="D", default="functional", help="rtl, cycle or functional (default)")
    add(
        "--devices",
        metavar="N",
        type=int,
        help="that share the model, functional or cycle; one is run beside them (default: 1)",
    )
    add(
        "--link-bytes",
        metavar="N",
        type=int,
        help="assumed of the simulated link: bytes a cycle into each device (default: 4)",
    )
    add(
        "--link-latency",
        metavar="N",
        type=int,
        help="assumed of it: cycles before the first byte of an exchange (default: 100)",
    )
    add("--prompt", metavar="TEXT", help="the text to continue")
    add("--tokens", metavar="N", type=int, default=64, help="to add at most (default: 64)")
    add("--compiled", metavar="DIR", type=Path, help="run this compiled directory instead")
    add("--check", metavar="G", choices=["golden"], help="golden: compare with its integer model")
    _add_timing(command)
    add("-o", "--output", metavar="DIR", type=Path, help="(default: build/sim/MODEL/all-PRESET)")
    add("--json", action="store_true", help="print the report instead of the text")


def _add_model(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--model", metavar="M", help="a known name or a checkpoint (default: smollm2-135m)")
    add("--preset", metavar="P", help=f"hardware: {', '.join(PRESETS)} (default: edge)")
    add("--coding", metavar="C", help="unary, bitwise or csd (default: csd)")
    add("--recipe", metavar="R", help="a known recipe or a TOML file (default: w8)")


def _add_timing(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--seed", metavar="N", type=int, default=0, help="of the random stalls (default: 0)")
    add("--latency", metavar="N", type=int, default=60, help="of the memory, cycles (default: 60)")
    add(
        "--stalls",
        metavar="P",
        type=float,
        default=0.0,
        help="probability that a channel of the bus is held off in a cycle (default: 0)",
    )


def _run(options: argparse.Namespace) -> int:
    from sim import report  # imports of seconds: --help and wrong arguments need none of it
    from sim.errors import ToolError
    from sim.run import Request, forget, run

    choices = {
        name: getattr(options, name)
        for name in (
            "layer", "model", "preset", "array", "no_skip", "coding", "recipe", "device", "prompt",
            "tokens", "rows", "compiled", "waves", "output",
        )
        if getattr(options, name) is not None
    }  # fmt: skip
    request = Request(**choices)
    forget(request)  # before anything that is refused
    request = replace(request, timing=_timing(options))
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    try:
        with bar:
            task = bar.add_task("starting", total=None)
            finished, path = run(
                request,
                say=lambda doing: bar.update(task, description=doing, total=None),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    except ToolError as error:
        return _refuse(str(error))
    report.show(finished, options.json)
    for failure in finished["failures"]:
        print(f"python -m sim: {failure} (seed {finished['seed']})", file=sys.stderr)
    if not options.json:
        print(f"report: {path}")
    return 0 if finished["passed"] else 1


def _generate(options: argparse.Namespace) -> int:
    from sim import generate as alone
    from sim.errors import ToolError
    from sim.scale import generate as together
    from sim.whole import GenerateRequest

    names = (
        "model", "preset", "coding", "recipe", "context", "compiled", "prompt", "tokens", "device",
        "output", "devices",
    )  # fmt: skip
    choices = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    request = GenerateRequest(
        timing=_timing(options), link=_link(options), check=bool(options.check), **choices
    )
    generate = together.generate
    if not together.wanted(request):
        if options.link_bytes is not None or options.link_latency is not None:
            raise ValueError(
                "--link-bytes and --link-latency must be left out: one device has no link"
            )
        generate = alone.generate
    console = Console(stderr=True)
    shows = not options.json

    def write(text: str) -> None:
        status.stop()
        if shows:
            print(text, end="", flush=True)

    try:
        with console.status("starting") as status:
            finished, path = generate(request, say=lambda doing: status.update(doing), write=write)
    except ToolError as error:
        return _refuse(str(error))
    if options.json:
        print(json.dumps(finished, indent=1))
    else:
        print(f"\n{_speed(finished)}\nreport: {path}")
    for failure in finished["failures"]:
        print(f"python -m sim: {failure} (seed {finished['seed']})", file=sys.stderr)
    return 0 if finished["passed"] else 1


def _diverge(options: argparse.Namespace) -> int:
    from sim.errors import ToolError

    try:
        return diverge_cli.run(options, _timing(options))
    except ToolError as error:
        return _refuse(str(error))


def _sweep(options: argparse.Namespace) -> int:
    from sim.errors import ToolError

    try:
        return sweep_cli.run(options, _timing(options))
    except ToolError as error:
        return _refuse(str(error))


def _speed(finished: Mapping[str, Any]) -> str:
    """Return what a run of tokens took as a line."""
    parts = [f"{len(finished['tokens'])} tokens on {finished['device']}"]
    if seconds := finished["seconds_per_position"]:
        parts.append(f"{1 / seconds:.4g} tokens a second")
    if cycles := finished["cycles_per_position"]:
        parts.append(f"{cycles:,.0f} cycles a token")
    if scale := finished.get("scale_out"):
        parts[0] += f" × {scale['devices']}"
        if scale["speed_up"]:
            parts.append(f"{scale['speed_up']} times as fast as one device")
        if scale["one"] and finished["passed"]:
            parts.append("the same bits as one device's")
    if finished["checked_with"] and finished["passed"]:
        parts.append("the same as golden's")
    return ", ".join(parts)


def _timing(options: argparse.Namespace):
    from sim.rtl import Timing

    return Timing(latency=options.latency, stalls=options.stalls, seed=options.seed)


def _link(options: argparse.Namespace):
    from sim.scale.link import Link

    given = {"bytes_per_cycle": options.link_bytes, "latency": options.link_latency}
    return Link(**{name: value for name, value in given.items() if value is not None})


if __name__ == "__main__":
    interrupt.run(main)
