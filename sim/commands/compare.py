"""`python -m sim compare`."""

import argparse
import json
from dataclasses import asdict

from golden.console.tables import print_lines, print_table
from sim.runs.compare import Finding, compare

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print what two runs have apart."""
    found = compare(options.a, options.b)
    if options.json:
        print(json.dumps({"same": found.same, **asdict(found)}, indent=1))
        return 0 if found.same else 1
    if found.options:
        print_lines("asked for otherwise:")
        rows = [(finding.name, _shown(finding.a), _shown(finding.b)) for finding in found.options]
        print_table(("option", "A", "B"), rows, left=(0, 1, 2))
    if found.same:
        print_lines(f"the same: {found.compared} figures and outputs that both know")
        return 0
    print_lines(f"came out otherwise: {len(found.results)} of {found.compared} that both know")
    rows = [
        (finding.name, _shown(finding.a), _shown(finding.b), _by(finding))
        for finding in found.results
    ]
    print_table(("result", "A", "B", "B is"), rows, left=(0,))
    return 1


def _by(finding: Finding) -> str:
    """Return by how much a result differs."""
    if finding.kind == "output":
        parts = [] if finding.elements is None else [f"other in {finding.elements:,}"]
        parts += [] if finding.difference is None else [f"by {finding.difference:.6g} at most"]
        return ", ".join(parts)
    if finding.difference is None:
        return ""
    return f"{finding.difference / finding.a:+.2%}" if finding.a else f"{finding.difference:+,}"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = f"{value:,}" if type(value) is int else "-" if value is None else str(value)
    return text if len(text) <= 32 else f"{text[:29]}..."
