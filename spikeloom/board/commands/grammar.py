"""What the commands of `python -m spikeloom.board` take."""

from pathlib import Path

from compiler.commands.options import LAYERS, add_clock, add_coding, add_preset
from golden.commands.options import MODEL, add_json, add_output, add_prompt, add_recipe
from golden.console.parser import Command, Parser

__all__ = ["parser"]

_WAYS = """\
simulation, system (a simulated one on a chip), uartbone:/dev/ttyUSB1@1000000, \
uartbone:HOST:PORT, litex:HOST:PORT, uio:/dev/uio0,udmabuf0, mem:/dev/mem, pynq:FILE or \
xdma:/dev/xdma0"""

_SELFTEST = """\
Asks a board what it is, tests its memory, loads a known layer with every region read back, runs it,
and compares every output word and every counter with the golden model; then it aborts a run in its
midst and runs the layer again. Without a board it is the RTL in simulation. Exit status: 0 where
all of that holds, 1 where something differs, 2 where the board or the request is at fault."""

_RUN = """\
Loads a whole model into a board's memory, every region read back, and lets it continue a prompt:
token by token, the likeliest each time, in one program. With --check golden, golden's integer model
must make the same tokens, and the functional device have the same counters. Exit status: 0 where
all of that holds, 1 where it does not or the board breaks off, 2 where there is no such board or
the request is at fault."""

_COUNTERS = """\
Prints what a board is and what it counted in its last run, or in the one that is under way. Nothing
on the board changes."""

_DRIVER = """\
Writes spikeloom.h, spikeloom.c and spikeloom_regs.h: identify, test memory, load, start, poll,
abort and counters in C99, without an operating system; the caller says how registers and memory are
reached."""


def parser() -> Parser:
    """Return the parser of all commands."""
    made = Parser("spikeloom.board", "Boards with a Spikeloom accelerator.")
    command = made.add_command("selftest", "test a board, from its registers to a layer", _SELFTEST)
    command.add_model(f"{MODEL} (default: stories260k)", required=False)
    _add_hardware(command)
    command.group("model").add_argument(
        "--layer", "--layers", metavar="LAYER,...", default="mlp0", help=LAYERS
    )
    _add_way(command)
    add = command.group("run").add_argument
    add_prompt(command, "whose last tokens' vectors are taken")
    add(
        "--memory-bytes",
        metavar="N",
        type=int,
        help="to fill with random bytes, from address 0 on (default: what the layer needs)",
    )
    add("--seed", metavar="N", type=int, default=0, help="of the random bytes")
    add_json(command)

    command = made.add_command("run", "let a whole model continue a prompt on a board", _RUN)
    command.add_model(f"{MODEL} (default: stories260k)", required=False)
    add_recipe(command, default=None)
    _add_hardware(command)
    add_coding(command)
    _add_way(command)
    add = command.group("run").add_argument
    add_prompt(command, "the text to continue")
    add("--tokens", metavar="N", type=int, default=64, help="to add at most")
    add("--context", metavar="N", type=int, help="positions (default: all that there are)")
    add("--check", choices=["golden"], help="golden: compare with its integer model")
    add("--compiled", metavar="DIR", type=Path, help="run this compiled directory instead")
    add_clock(command, "output", "of the hardware, for seconds (default: 100)")
    add_output(command, "where the run goes (default: build/sim/MODEL/…)")
    add_json(command)

    command = made.add_command("counters", "print what a board counted", _COUNTERS)
    _add_way(command)
    add_json(command)

    command = made.add_command("driver", "write the same driver as a C library", _DRIVER)
    add_output(command, "where its three files go", required=True)
    return made


def _add_hardware(command: Command) -> None:
    add_preset(command, "the one whose fingerprint the board has; of a simulation test")


def _add_way(command: Command) -> None:
    """Add the options that `spikeloom.board.commands.options.way_of` reads."""
    add = command.group("board").add_argument
    add("--transport", metavar="WAY", default="simulation", help=_WAYS)
    add("--csr", metavar="FILE", type=Path, help="LiteX's csr.json, which says where things lie")
    add("--registers", metavar="ADDRESS", help="of the first register on the board's bus")
    add(
        "--memory-base",
        metavar="ADDRESS",
        help="on that bus, of what the accelerator has at address 0",
    )
    add(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="without any progress, after which a run is given up",
    )
    add(
        "--watchdog",
        metavar="CYCLES",
        type=int,
        default=0,
        help="without a transfer, after which the hardware ends a run itself (default: none)",
    )
