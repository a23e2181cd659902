"""What the commands of `python -m sim` take."""

from pathlib import Path

from compiler.commands.options import (
    LAYERS,
    add_board,
    add_clock,
    add_coding,
    add_hardware,
    add_preset,
)
from golden.commands.options import MODEL, add_json, add_output, add_prompt, add_recipe
from golden.console.parser import Command, Parser
from sim.memories import IDEAL, MEMORIES

__all__ = ["parser"]

_RUN = """\
Takes the vectors that reach a layer in the golden model for a prompt, compiles the layer, runs it,
and compares every output word and every counter with the golden model. Exit status: 0 where all of
that holds, 1 where something differs, 2 where the request is at fault."""

_GENERATE = """\
Compiles a whole model, which is kept for the next time, and lets a device continue a prompt: token
by token, the likeliest each time, in one program. With --check golden, golden's integer model must
make the same tokens, and the functional device have the same counters. Exit status: 0 where all of
that holds, 1 where it does not, 2 where the request is at fault."""

_DIVERGE = """\
Runs the same program on two devices and names the first instruction, in the program's order, of
which they leave different results: position, layer, tensor, element, tile, lane, and of spike
counts the time step. A and B are functional, cycle, rtl or golden, or a file: a run that --save
kept, a memory image, or an npz file with an array a region of memory. Exit status: 0 where they do
not differ, 1 where they do, 2 where the request is at fault."""

_COMPARE = """\
Compares two runs of sim run or sim generate: what was asked for otherwise, and what came out
otherwise of cycles, counters, joules, tokens and outputs, and by how much. What one of them does
not know is left out. Exit status: 0 where the results are the same, 1 where they differ, 2 where
the request is at fault."""

_TESTBENCH = """\
Writes a self-checking bench in plain Verilog beside an accelerator's (docs/verilog.md): memory with
a compiled layer and the vectors that reach it, the register writes that start it, and the words
that the golden model says must be there at the end. `python -m hw generate --bench` calls it."""

_PLACE = "build/sim/MODEL/LAYER/PRESET-CODING-RECIPE-DEVICE, numbered where another request has it"

_SWEEP = """\
Measures every accelerator of a grid on the cycle device, which has the RTL's cycles, with the same
vectors of a prompt; with each its area and energy, estimated. Runs on Dask: on workers that it
starts on this machine, or on a cluster that is there. What has been measured in the same directory
is not measured again. Writes sweep.parquet, pareto.svg and sweep.json. Exit status: 0 where every
configuration was measured or refused with a reason, 1 where one failed, 2 where the request is at
fault."""


def parser() -> Parser:
    """Return the parser of all commands."""
    made = Parser("sim", "The simulators of Spikeloom.")
    _add_run(made)
    _add_generate(made)
    _add_diverge(made)
    _add_compare(made)
    _add_sweep(made)
    _add_testbench(made)
    return made


def _add_run(made: Parser) -> None:
    help = "run one layer and compare it with the golden model"
    command = made.add_command("run", help, _RUN)
    _add_what(command)
    _add_layer(command)
    add = command.group("hardware").add_argument
    add("--array", metavar="ARRAY", help="spike, or mac to compare with (default: spike)")
    add(
        "--no-skip",
        action="store_const",
        const=True,
        help="hardware that fetches silent channels too, to compare with",
    )
    add = command.group("run").add_argument
    add("--device", metavar="DEVICE", default="rtl", help="rtl, cycle or functional")
    add_prompt(command, "whose last tokens' vectors are taken")
    add("--tokens", metavar="N", type=int, help="how many (default: as the hardware has rows)")
    add("--rows", metavar="A:B", help="output channels of a single matrix, or how many")
    _add_compiled(command)
    _add_memory(command)
    add_clock(command, "output", "of the hardware, for seconds (default: 100)")
    command.group("output").add_argument(
        "--waves", action="store_true", help="record waves beside the report"
    )
    add_output(command, f"where the run goes (default: {_PLACE})")
    add_json(command)


def _add_generate(made: Parser) -> None:
    command = made.add_command("generate", "let a whole model continue a prompt", _GENERATE)
    _add_what(command)
    add = command.group("run").add_argument
    add("--device", metavar="DEVICE", default="functional", help="rtl, cycle or functional")
    add_prompt(command, "the text to continue")
    add("--tokens", metavar="N", type=int, default=64, help="to add at most")
    add("--context", metavar="N", type=int, help="positions (default: all that there are)")
    add("--check", choices=["golden"], help="golden: compare with its integer model")
    _add_compiled(command)
    add = command.group("several devices").add_argument
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
    _add_memory(command)
    add_clock(command, "output", "of the hardware, for seconds (default: 100)")
    add_output(command, f"where the run goes (default: {_PLACE})")
    add_json(command)


def _add_diverge(made: Parser) -> None:
    command = made.add_command("diverge", "find the first difference between two devices", _DIVERGE)
    _add_what(command)
    add = command.group("what is compared").add_argument
    add("a", metavar="A", help="functional, cycle, rtl, golden, or the file of a run")
    add("b", metavar="B", help="what it is compared with")
    _add_layer(command, "in place of a whole model")
    add_prompt(command, "the text to continue")
    add = command.group("run").add_argument
    add("--tokens", metavar="N", type=int, help="to add at most (default: 1)")
    add("--context", metavar="N", type=int, help="positions (default: all that there are)")
    _add_compiled(command)
    _add_memory(command)
    command.group("output").add_argument(
        "--save", metavar="DIR", type=Path, help="keep the run of each device here"
    )
    add_output(command, "where the report goes (default: build/sim/MODEL/…)")
    add_json(command)


def _add_compare(made: Parser) -> None:
    command = made.add_command("compare", "tell two runs apart", _COMPARE)
    add = command.group("what is compared").add_argument
    add("a", metavar="A", type=Path, help="the directory of a run, or its report")
    add("b", metavar="B", type=Path, help="that of another")
    add_json(command)


def _add_sweep(made: Parser) -> None:
    command = made.add_command("sweep", "measure many accelerators on a Dask cluster", _SWEEP)
    _add_what(command)
    _add_layer(command, "(default: attn0,mlp0)")
    add_board(command, "tokens a second on it, and whether it fits")
    add = command.group("run").add_argument
    add(
        "--grid",
        metavar="NAME=V,V",
        nargs="+",
        required=True,
        help="values of tokens, lanes, banks, axi_data_width or another parameter of the hardware, "
        "of coding, or of recipe; all combinations are measured",
    )
    add("--prompt", metavar="TEXT", help="whose last tokens' vectors are taken")
    add(
        "--prompt-tokens",
        metavar="N",
        type=int,
        help="how many, for all alike (default: the most that an accelerator takes at once)",
    )
    either = command.group("run").add_mutually_exclusive_group()
    either.add_argument("--workers", metavar="N", type=int, help="processes to start (default: 2)")
    either.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that is there")
    _add_memory(command)
    add_output(command, "where the sweep goes (default: build/sweep/MODEL/LAYER)")
    add_json(command)


def _add_testbench(made: Parser) -> None:
    command = made.add_command("testbench", "write a layer as a bench in Verilog", _TESTBENCH)
    own = "(default: stories260k, or random weights of its shapes where it is not there)"
    command.add_model(f"{MODEL}, or synthetic {own}", required=False)
    add_recipe(command, default=None)
    _add_layer(command, "(default: mlp0)")
    add_preset(command, "test")
    add_coding(command)
    add_hardware(command)
    add_prompt(command, "whose last tokens' vectors are taken")
    _add_compiled(command)
    add_output(command, "where the files go (default: build/rtl)")
    add_json(command)


def _add_what(command: Command) -> None:
    """Add what is compiled, and for which hardware."""
    command.add_model(f"{MODEL} (default: smollm2-135m)", required=False)
    add_recipe(command, default=None)
    add_preset(command, "edge")
    add_coding(command)


def _add_layer(command: Command, more: str = "") -> None:
    command.group("model").add_argument(
        "--layer", "--layers", metavar="LAYER,...", help=f"{LAYERS} {more}".rstrip()
    )


def _add_compiled(command: Command) -> None:
    command.group("run").add_argument(
        "--compiled", metavar="DIR", type=Path, help="run this compiled directory instead"
    )


def _add_memory(command: Command) -> None:
    """Add the options that `sim.commands.options.timing` reads."""
    add = command.group("memory").add_argument
    add(
        "--memory",
        choices=MEMORIES,
        default=IDEAL,
        help="ideal, or a DDR3 of 16 bits behind LiteDRAM's controller, refresh included "
        "(default: ideal)",
    )
    add("--seed", metavar="N", type=int, default=0, help="of the random stalls")
    add(
        "--latency",
        metavar="N",
        type=int,
        default=60,
        help="of an ideal memory, before a first word",
    )
    add(
        "--stalls",
        metavar="P",
        type=float,
        default=0.0,
        help="of an ideal memory, probability that a channel of the bus is held off in a cycle",
    )
