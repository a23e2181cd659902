"""Command line of the generator: ``python -m hw generate`` and ``python -m hw docs``."""

import argparse
import json
import sys
from pathlib import Path

from hw.contract.presets import PRESETS, preset
from hw.generate import docs
from hw.generate.emit import describe, emit

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        """Say what is wrong in one line."""
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m hw", description="Generate the accelerator.")
    commands = parser.add_subparsers(dest="command", required=True)
    generate = commands.add_parser("generate", help="write the accelerator as plain Verilog")
    generate.add_argument(
        "--preset", default="edge", help=f"which accelerator: {', '.join(sorted(PRESETS))}"
    )
    generate.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("build/rtl"),
        help="directory (default: build/rtl)",
    )
    generate.add_argument("--json", action="store_true", help="print parameters and fingerprint")
    pages = commands.add_parser("docs", help="write docs/isa.md and docs/regs.md")
    pages.add_argument("-o", "--output", type=Path, default=Path("docs"), help="directory")
    return parser


def _run(arguments: argparse.Namespace) -> None:
    if arguments.command == "docs":
        files = docs.write(arguments.output)
    else:
        params = preset(arguments.preset)
        files = emit(params, arguments.output)
        if arguments.json:
            print(json.dumps(describe(params), indent=2))
            return
    for file in files:
        print(file)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, or 2 where the request is at fault."""
    arguments = _parser().parse_args(argv)
    try:
        _run(arguments)
    except (ValueError, OSError) as error:
        print(f"python -m hw: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
