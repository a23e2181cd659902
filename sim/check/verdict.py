"""Holds a device's results against golden's: every output word, and every counter."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.regs import Error
from sim.check.expected import Expected
from sim.device import Result
from sim.errors import HardwareFault
from sim.rtl.device import RtlResult

__all__ = ["MatrixComparison", "Mismatch", "Verdict", "judge"]


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One output word that is wrong.

    Attributes
    ----------
    tensor : str
        Output region.
    token, channel : int
        Its place; the channel counts from the first row of the model's matrix.
    expected, got : int
        The two values, Q15.16.
    """

    tensor: str
    token: int
    channel: int
    expected: int
    got: int

    def __str__(self) -> str:
        expected, got = (f"{value & 0xFFFFFFFF:#010x}" for value in (self.expected, self.got))
        return (
            f"{self.tensor}, token {self.token}, output channel {self.channel}: "
            f"expected {expected}, got {got}"
        )


@dataclass(frozen=True, kw_only=True)
class MatrixComparison:
    """One matrix of a program, its outputs compared.

    Attributes
    ----------
    matrix, site : str
        Names (`golden.checkpoint.names`).
    channels, outputs, first_row, weight_width, tiles : int
        Its shape, as the manifest has it.
    values_compared, mismatches : int
        Words of its output, and how many are wrong.
    silent_channels : int
        Channels with no spike, summed over the rounds of the tokens.
    array_cycles, weight_cycles, addition_cost_cycles : int
        What it takes (`sim.check.expected.MatrixCycles`).
    first_mismatch : Mismatch or None
        The first wrong word, in the order of tokens and then channels.
    """

    matrix: str
    site: str
    channels: int
    outputs: int
    first_row: int
    weight_width: int
    tiles: int
    values_compared: int
    mismatches: int
    silent_channels: int
    array_cycles: int
    weight_cycles: int
    addition_cost_cycles: int
    first_mismatch: Mismatch | None

    @property
    def bit_exact(self) -> bool:
        """Whether every word is right."""
        return not self.mismatches


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a run.

    Attributes
    ----------
    matrices : list of MatrixComparison
        The outputs, in the program's order; empty where the hardware came to no end.
    failures : list of str
        Whatever does not hold, a sentence each; empty for a good run.
    """

    matrices: list[MatrixComparison]
    failures: list[str]


def judge(
    compiled: Compiled,
    expected: Expected,
    functional: Result,
    result: Result | HardwareFault,
    device: str,
) -> Verdict:
    """Hold a device's result against golden's, and its counters against everyone's who counts.

    Parameters
    ----------
    compiled : Compiled
        The program.
    expected : Expected
        Golden's results.
    functional : Result
        The functional device's.
    result : Result or HardwareFault
        The device's.
    device : str
        Its name, for the sentences.
    """
    if isinstance(result, HardwareFault):
        return Verdict(matrices=[], failures=[str(result)])
    matrices = _compare(compiled, expected, result.outputs)
    if result.error is not Error.NONE:
        sentence = f"the program ended on {device} with error {result.error.name}"
        return Verdict(matrices=matrices, failures=[sentence])
    failures = [str(m.first_mismatch) for m in matrices if m.first_mismatch]
    references = {"golden": expected.counters, "the functional device": functional.counters}
    if isinstance(result, RtlResult):
        references["the memory"] = result.counted_by_memory()
        if result.fingerprint != compiled.fingerprint:
            failures.append(
                f"the fingerprint of the hardware is {result.fingerprint}, that of the program "
                f"{compiled.fingerprint}"
            )
    for reference, counters in references.items():
        for name, value in counters.items():
            got = result.counters[name]
            if None not in (value, got) and got != value:
                failures.append(f"counter {name}: {reference} says {value}, {device} says {got}")
    return Verdict(matrices=matrices, failures=failures)


def _compare(
    compiled: Compiled, expected: Expected, outputs: Mapping[str, np.ndarray]
) -> list[MatrixComparison]:
    compared = []
    for step in compiled.manifest["operations"]:
        if step["operation"] != "MATMUL":
            continue
        region = step["output"]
        want, got = expected.outputs[region], outputs[region]
        wrong = np.argwhere(want != got)  # (mismatches, 2): token, channel
        first = None
        if len(wrong):
            token, channel = map(int, wrong[0])
            first = Mismatch(
                tensor=region,
                token=token,
                channel=step["first_row"] + channel,
                expected=int(want[token, channel]),
                got=int(got[token, channel]),
            )
        shape = ("matrix", "site", "channels", "outputs", "first_row", "weight_width", "tiles")
        counts = expected.sites[step["site"]].counts
        rounds = range(0, len(counts), compiled.params.tokens)
        cycles = expected.cycles[step["matrix"]]
        silent = [~counts[at : at + compiled.params.tokens].any(axis=0) for at in rounds]
        compared.append(
            MatrixComparison(
                **{name: step[name] for name in shape},
                values_compared=want.size,
                mismatches=len(wrong),
                silent_channels=int(np.sum(silent)),
                array_cycles=cycles.array_cycles,
                weight_cycles=cycles.weight_cycles,
                addition_cost_cycles=cycles.addition_cost_cycles,
                first_mismatch=first,
            )
        )
    return compared
