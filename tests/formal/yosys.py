"""Yosys as SymbiYosys calls it (``-ql LOG SCRIPT``), over the native library, not wasm."""

import os
import sys

from pyosys import libyosys


def main() -> None:
    """Run the script with its log in the file."""
    options, log, script = sys.argv[1:]
    if options != "-ql":
        sys.exit(f"options must be -ql, not {options}")
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), sys.stdout.fileno())
    libyosys.run_pass(f"script {script}", libyosys.Design())


if __name__ == "__main__":
    main()
