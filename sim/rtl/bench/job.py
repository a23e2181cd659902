"""What one process of the simulator is asked, and what it answers: JSON, one line a job."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["JOBS_VARIABLE", "Job", "Outcome", "read_jobs", "read_outcomes", "write_jobs"]

JOBS_VARIABLE = "SPIKELOOM_JOBS"
"""Environment variable with the path of the jobs; the outcomes stand beside it."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One program to start on the hardware.

    Attributes
    ----------
    name : str
        For messages.
    image : str
        File with the memory's bytes; outputs appear in it.
    memory_bytes, word_bytes : int
        Bytes of the memory and of one word.
    program : int
        Address of the program's header.
    registers : dict
        Values of further registers, by name, written before the start.
    writable : list of [first, end]
        Addresses that the accelerator may write.
    limit_cycles : int
        Cycles after which the run is given up.
    latency, stalls, seed, data_first
        The memory's timing, see `sim.rtl.bench.memory.configure`.
    memory : str
        One of `sim.memories.MEMORIES`: that of the build.
    failing_reads, failing_writes : list of [first, end]
        Addresses that answer with SLVERR.
    reset : bool
        Whether the hardware is reset first; False runs it as the job before left it.
    trace : str
        File that records what is done (`sim.rtl.bench.trace`), empty for none.
    traced : list of int
        First and end of the addresses whose writes are recorded; empty: all, and spike counts.
    abandon_after_cycles : int
        If above 0, the job ends so many cycles after its start, whatever it is doing.
    """

    name: str
    image: str
    memory_bytes: int
    word_bytes: int
    program: int
    writable: list[list[int]]
    limit_cycles: int
    registers: dict[str, int] = field(default_factory=dict)
    latency: int = 60
    stalls: float = 0.0
    seed: int = 0
    data_first: bool = False
    memory: str = "ideal"
    failing_reads: list[list[int]] = field(default_factory=list)
    failing_writes: list[list[int]] = field(default_factory=list)
    reset: bool = True
    trace: str = ""
    traced: list[int] = field(default_factory=list)
    abandon_after_cycles: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one job.

    Attributes
    ----------
    name : str
        Of the job.
    failure : str
        Why the run is void (protocol breach, no progress, no answer) as one sentence, else empty.
    status, error, position : int
        Registers STATUS, ERROR and POSITION at the interrupt.
    fingerprint : str
        The hardware's, in hex, from its ID registers.
    counters : dict
        Every counter of `hw.contract.regs.COUNTERS`, from its registers.
    memory : dict
        What the memory counted, see `sim.rtl.bench.memory.Counts`.
    wall_seconds : float
        From start to interrupt.
    """

    name: str
    failure: str = ""
    status: int = 0
    error: int = 0
    position: int = 0
    fingerprint: str = ""
    counters: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    wall_seconds: float = 0.0


def write_jobs(path: Path, jobs: list[Job]) -> None:
    """Write the jobs of one process to `path`."""
    path.write_text("".join(json.dumps(asdict(job)) + "\n" for job in jobs))


def read_jobs(path: Path) -> list[Job]:
    """Read what `write_jobs` wrote."""
    return [Job(**json.loads(line)) for line in path.read_text().splitlines()]


def outcomes_path(jobs: Path) -> Path:
    """Return the file with the outcomes of the jobs in file `jobs`."""
    return jobs.with_suffix(".outcomes")


def progress_path(jobs: Path) -> Path:
    """Return the file that says how far the current job has come: bytes read, cycles."""
    return jobs.with_suffix(".progress")


def read_outcomes(jobs: Path) -> list[Outcome]:
    """Read the outcomes of the jobs in file `jobs`, in their order; fewer where it broke off."""
    path = outcomes_path(jobs)
    lines = path.read_text().splitlines() if path.exists() else []
    return [Outcome(**json.loads(line)) for line in lines]
