"""Writes docs/proofs.md from the table of proofs, and reads its times back."""

import re
from pathlib import Path

from tests.formal.faults import FAULTS
from tests.formal.progress import PATIENCE
from tests.formal.table import PROOFS

__all__ = ["PAGE", "page", "times"]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "proofs.md"

_FAIR_CYCLES = PATIENCE + 1
_HEAD = """# Proofs

Written by `python -m tests.formal --write` from `tests/formal/table.py`; `make test` runs them but
for those marked *full*, which `make test-full` runs.

Every claim below is proved by k-induction (SymbiYosys, Yices): it holds for runs of any length,
not up to a bound, with a reset in any cycle. A proof holds for the dimensions named, no others.
With each proof go *covers*, runs that reach what it speaks of, so that none holds for want of a
case; and the faults further down, each put into a copy of the hardware, for which a run is found
that breaks the claim.

## Claims
| claim | block | dimensions | k | seconds |
|---|---|---|---|---|
"""

_ASSUMED = f"""
`test` and `edge` are the presets, `mac` the array that multiplies, `no skipping` with silent
channels fetched; `small` has one token, 4 lanes, 4 banks, 64 channels, bursts of 4 words, queues
of 16 words and 4 events (`tests/formal/proof.py`). Seconds: one core, wall time.

*No overflow* for the presets is the conjunction of three claims. A beat's additions are worth its
counts, and never more than `max_count` on the way (*steps*); each channel comes once, so at most
`max_channels` beats go into an accumulator (*events*); and the array adds exactly while the exact
sum is within 128 · 2^`max_shift` · `max_count` · `max_channels` (*additions*). That the digits
times a weight add up to the count times that weight is arithmetic; the small dimensions prove it
all in one (*accumulation*).

## What is assumed
- **Streams.** What enters a block keeps the rule of streams. Between blocks that is what the block
  before was proved to do.
- **Ready.** `Bursts` and queues, once ready for a payload, stay so until it comes. Proved of both,
  assumed of what the fetcher feeds.
- **Memory.** It answers only what it was asked for, words of one client in order, and holds back
  fewer than 65,520 acknowledgements.
- **Guard.** The blocks that it resets offer nothing then, and all their payloads are zero; what
  they do before is what was proved of the ports. Held by tests with these ports, and by whole runs
  that are ended in any cycle.
- **Program.** Instructions are in range: the controller checks them.
- **Encoder.** It writes a batch's counts token by token, group by group, zero beyond the last
  channel, and starts another batch only after that. Held by the tests of the encoder, not by a
  proof.
- **Cache.** After each head of a STORE the encoder gives as many groups of counts as it has, and
  one threshold. Held by the tests of the encoder.
- **Marks** of groups come behind the last event of each group that has some: proved of what sets
  them (*marks*), assumed of the sequencer.
- **Drain.** It reads and releases only halves that it was given: proved of it (*drain*), assumed
  of what it reads.
- **Working.** Once the controller sees that nothing works, nothing starts by itself. Held by the
  tests of whole programs, not by a proof.
- **Fairness** (claims of progress only). Memory answers, and takes an address, within {_FAIR_CYCLES}
  cycles; so does who takes words, tiles or segments, hands over MATMULs or releases a half. The
  bound grows linearly with that number. Of the clients of the read port, the one with the lower
  index goes first, so a client is served only while those before it are content; their requests
  are few (program, vectors) or short. The address of a write may be kept waiting until a word of
  it is on offer.
- **Event path.** Rows of one shape and groups of one size for a whole run, any of them.

## Faults
| fault | in | seen by |
|---|---|---|
"""


def page(seconds: dict[str, float]) -> str:
    """Return the page, with the seconds that each proof (by its label) took."""
    rows = [
        f"| **{p.name}**: {p.claim} | {p.block} | {p.params}{' *(full)*' if p.full else ''} | {p.k} "
        f"| {seconds[p.label]:.1f} |\n"
        for p in PROOFS
    ]
    faults = [f"| {_code(f.old)} → {_code(f.new)} | {f.file} | {f.proof} |\n" for f in FAULTS]
    return "".join([_HEAD, *rows, _ASSUMED, *faults])


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`" if text else "nothing"


def times(text: str) -> dict[str, float]:
    """Return the seconds that a page tells, by the labels of the proofs."""
    row = re.compile(r"^\| \*\*(.+?)\*\*: .* \| ([^|]+?)(?: \*\(full\)\*)? \| \d+ \| ([\d.]+) \|$")
    found = (row.match(line) for line in text.splitlines())
    return {f"{match[1]} ({match[2]})": float(match[3]) for match in found if match}
