"""Command line of the proofs: ``python -m tests.formal``."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.formal.page import PAGE, page
from tests.formal.table import PROOFS

_BUILD = Path("build/formal")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.formal",
        description="Prove what docs/proofs.md lists; files and traces go to build/formal.",
    )
    parser.add_argument("--only", metavar="WORD", default="", help="those whose name has it")
    parser.add_argument("--no-cover", action="store_true", help="prove, but reach no covers")
    parser.add_argument(
        "--write", action="store_true", help=f"write {PAGE} with the times, if all hold"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 if every proof holds, else 1."""
    arguments = _parser().parse_args(argv)
    console = Console(stderr=True)
    chosen = [proof for proof in PROOFS if arguments.only in proof.label]
    if not chosen:
        console.print(f"no proof has {arguments.only!r} in its name")
        return 2
    if arguments.write and (arguments.only or arguments.no_cover):
        console.print("--write goes with neither --only nor --no-cover: the page lists all proofs")
        return 2
    seconds, faults = {}, 0
    with Progress(console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("proofs", total=len(chosen))
        for proof in chosen:
            outcomes = [proof.prove(_BUILD)]
            if not arguments.no_cover:
                outcomes.append(proof.cover(_BUILD))
            progress.advance(bar)
            seconds[proof.label] = outcomes[0].seconds
            statuses = " ".join(f"{o.status} {o.seconds:.1f} s" for o in outcomes)
            print(f"{proof.label:40} {statuses}", flush=True)
            for outcome in outcomes:
                if outcome.status != "PASS":
                    faults += 1
                    print("\n".join(outcome.log.splitlines()[-12:]), flush=True)
    print(f"{len(chosen)} proofs, {faults} faults")
    if arguments.write and not faults:
        PAGE.write_text(page(seconds))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
