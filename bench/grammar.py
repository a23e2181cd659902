"""What `python -m bench` takes."""

from pathlib import Path
from textwrap import fill

from bench.reports import OUTPUT_ROOT
from compiler.commands.options import add_preset
from golden.commands.options import MODEL
from golden.console.parser import Parser

__all__ = ["BENCHES", "parser"]

BENCHES = {
    "roofline": "layers of SmolLM2-135M on the RTL: cycles against what their bytes need",
    "tokens": "whole tokens of SmolLM2-135M on the RTL, by position and recipe (half an hour)",
    "profile": "SmolLM2-135M by a measured profile: cycles predicted and simulated",
    "front": "perplexity of SmolLM2-135M against bytes skipped, and what each step gains (minutes)",
    "arrays": "the spike array against a MAC array, with silent channels skipped and fetched",
    "area": "LUTs, DSPs and memory of both arrays on two FPGA families, by Yosys (minutes)",
    "timing": "MHz of each block, placed and routed on an ECP5, with its worst path (hours)",
    "dram": "layers with LiteDRAM's controller and a DDR3 against the ideal memory (minutes)",
    "sim_speed": "cycles a second and build time of the simulators (minutes)",
    "stream": "compiling random weights of 7B shape from disk to disk (minutes, 40 GB of disk)",
}
"""The benches by name, in the order in which all are run."""

_ABOUT = "Measurements of Spikeloom. Without a name, all are run:\n" + "\n".join(
    fill(about, 80, initial_indent=f"  {name:10} ", subsequent_indent=" " * 13)
    for name, about in BENCHES.items()
)


def parser() -> Parser:
    """Return the parser."""
    made = Parser("bench", _ABOUT, lines=True)
    made.set_defaults(handler="bench.benches")
    made.add_argument("names", metavar="NAME", nargs="*", help="benches to run (default: all)")
    made.group("model").add_argument(
        "--model", metavar="MODEL", help=f"{MODEL} (default: smollm2-135m)"
    )
    add_preset(made, "each bench's own, see docs/performance.md")
    made.group("model").add_argument(
        "--text",
        metavar="FILE",
        type=Path,
        help="what the benches profile and front work on (default: bench/text.txt)",
    )
    add = made.group("timing").add_argument
    add("--blocks", metavar="B,…", help="blocks of the bench timing, or none (default: all)")
    add("--whole", metavar="C,…", help="whole accelerators as well: test, ecpix5-85f (an hour)")
    add("--seeds", metavar="N,…", help="of its placer, each a run of its own (default: 1)")
    add = made.group("output").add_argument
    add("--docs", action="store_true", help="write tables and figures of docs/ anew as well")
    add(
        "--from-reports",
        action="store_true",
        help="run nothing: take the last reports, to write docs/ anew or to print them",
    )
    where = "of the reports (default: build/bench)"
    add("-o", "--output", metavar="DIR", type=Path, default=OUTPUT_ROOT, help=where)
    return made
