"""From a board's registers to a layer that equals golden's, step by step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hw.contract.regs import Error
from sim.check.case import Case
from sim.check.verdict import Verdict
from sim.device import Result
from spikeloom.board.board import Board
from spikeloom.board.failure import failure_of
from spikeloom.board.layer import run_layer
from spikeloom.board.memory import test_memory

__all__ = ["Step", "selftest"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a self-test.

    Attributes
    ----------
    name : str
        What was tested.
    found : str
        What was found, for people.
    failures : list of str
        What does not hold, a sentence each; empty where all is well.
    """

    name: str
    found: str
    failures: list[str]

    @property
    def passed(self) -> bool:
        """Whether all is well."""
        return not self.failures


def selftest(
    board: Board,
    case: Case,
    memory_bytes: int,
    *,
    lines_bytes: int = 0,
    seed: int = 0,
    say: Callable[[str], None] = lambda _doing: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[Step]:
    """Test a board; yields each step when it is done, and ends after the first that fails.

    Parameters
    ----------
    board : Board
        The board.
    case : Case
        A layer, and what golden says it gives.
    memory_bytes : int
        To test, from address 0 on.
    lines_bytes : int
        Of the whole memory, whose address lines are tested, if it is larger.
    seed : int
        Of the memory test's random bytes.
    say, progress : callable
        Told what is being done, and how much of it is.

    Raises
    ------
    BoardError
        Where the board does not answer, or its memory does not hold what is written to it.
    """
    identity, params = board.identity, board.identity.params
    found = (
        f"hardware {identity.fingerprint[:16]}…, registers {identity.release}; {params.tokens} "
        f"tokens × {params.lanes} lanes × {params.banks} banks, {params.axi_data_width} bits"
    )
    yield Step(name="identify", found=found, failures=[])

    compiled = case.compiled
    board.identity.require(compiled)
    word_bytes = compiled.params.axi_bytes
    end = memory_bytes // word_bytes * word_bytes
    test_memory(
        board.transport,
        0,
        end,
        lines_end=lines_bytes,
        word_bytes=word_bytes,
        seed=seed,
        say=say,
        progress=progress,
    )
    within = f" of {lines_bytes:,} bytes" if lines_bytes > end else ""
    found = f"data lines, address lines{within} and {end:,} random bytes hold"
    yield Step(name="memory", found=found, failures=[])

    board.load(compiled)
    loaded = sum(region.bytes for region in compiled.regions.values())
    found = f"{len(compiled.regions)} regions, {loaded:,} bytes, read back as they were written"
    yield Step(name="load", found=found, failures=[])

    first = _layer_step("layer", board, case)
    yield first
    if not first.passed:
        return
    aborted = board.abort_in_midst(compiled.program_address)
    failures = [] if aborted.error is Error.ABORTED else failure_of(board, aborted)
    found = f"error {aborted.error.name} after {aborted.counters['cycles']:,} cycles"
    if aborted.error is Error.NONE:  # over a slow line an abort comes too late
        found = (
            f"the layer ended before its abort came, after {aborted.counters['cycles']:,} cycles"
        )
    yield Step(name="abort", found=found, failures=failures)
    if not failures:
        yield _layer_step("again", board, case)


def _layer_step(name: str, board: Board, case: Case) -> Step:
    result, verdict = run_layer(board, case)
    return Step(
        name=name,
        found=_told(case, result, verdict),
        failures=[*failure_of(board, result), *verdict.failures],
    )


def _told(case: Case, result: Result, verdict: Verdict) -> str:
    words = sum(matrix.values_compared for matrix in verdict.matrices)
    wrong = sum(matrix.mismatches for matrix in verdict.matrices)
    same = f"{words:,} output words equal golden's"
    if wrong:
        same = f"{wrong:,} of {words:,} output words differ from golden's"
    return f"{case.layer} of {case.model}: {same}, {result.counters['cycles']:,} cycles"
