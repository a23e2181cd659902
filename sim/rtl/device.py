"""The rtl device: the generated Verilog, simulated cycle by cycle with a memory on its bus."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.params import HwParams
from hw.contract.regs import Error
from sim.device import Device, OnToken, Registers, Result, Timing, memory_before, outputs_in
from sim.errors import HardwareFault
from sim.rtl.bench.job import Job, Outcome
from sim.rtl.builds import build_bench
from sim.rtl.limits import cycle_limit, writable
from sim.rtl.simulator import simulate
from sim.rtl.tokens import TokenStream
from sim.rtl.verilog import Build

__all__ = ["Rtl", "RtlResult", "Run"]

_NO_LIMIT = 1 << 60


@dataclass(frozen=True, kw_only=True)
class RtlResult(Result):
    """A `sim.device.Result`, with what only this device knows.

    Attributes
    ----------
    status : int
        Register STATUS at the interrupt.
    fingerprint : str
        As the hardware's ID registers say, in hex.
    memory : dict of str to int
        What the memory counted on its side of the bus: see `sim.rtl.bench.memory.Counts`.
    wall_seconds : float
        From start to interrupt.
    """

    status: int
    fingerprint: str
    memory: dict[str, int]
    wall_seconds: float

    def counted_by_memory(self) -> dict[str, int]:
        """Return what the memory counted under the names of the hardware's counters."""
        return {
            "dram_bytes_read": self.memory["bytes_read"],
            "dram_bytes_written": self.memory["bytes_written"],
            "read_bursts": self.memory["read_bursts"],
        }


@dataclass(frozen=True, kw_only=True)
class Run:
    """One program of layers to run: what `Rtl.run` takes, and what may be varied beyond that.

    Attributes
    ----------
    compiled, inputs
        As `sim.device.Device.run` takes them.
    timing : Timing
        The memory's.
    edit : callable
        Changes the memory image before the start.
    job : mapping
        Further attributes of `sim.rtl.bench.job.Job`.
    """

    compiled: Compiled
    inputs: Mapping[str, np.ndarray]
    timing: Timing = Timing()
    edit: Callable[[np.ndarray], None] = lambda _image: None
    job: Mapping[str, Any] = field(default_factory=dict)


class Rtl(Device):
    """The rtl device.

    Parameters
    ----------
    build : Build, optional
        Of `sim.rtl.builds.build_bench`; by default that of the program's parameters.
    timing : Timing
        The memory's.
    waves : Path, optional
        Where the waves are recorded; the build must be able to.
    progress : callable
        Is given the bytes read so far, now and then.
    trace : Path, optional
        Where everything that is written is recorded, and all spike counts (`sim.rtl.bench.trace`).
    """

    name = "rtl"
    observes = False

    def __init__(
        self,
        build: Build | None = None,
        *,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        waves: Path | None = None,
        progress: Callable[[int], None] = lambda _bytes_read: None,
        trace: Path | None = None,
    ) -> None:
        self._build, self._timing, self._waves, self._progress = build, timing, waves, progress
        self._trace = trace

    def execute(
        self,
        memory: np.ndarray,
        program: int,
        params: HwParams,
        registers: Registers | None = None,
        on_token: OnToken = lambda _position, _token: None,
    ) -> RtlResult:
        """Execute a program once; see `sim.device.Device.execute`."""
        set_first = {} if registers is None else asdict(registers)
        with tempfile.TemporaryDirectory(prefix="spikeloom-") as directory:
            image, trace, traced = Path(directory) / "memory", self._trace, []
            tokens = None
            if registers is not None:
                tokens = TokenStream(memory, program, registers, on_token)
            if trace is None and tokens is not None:
                trace, traced = Path(directory) / "trace", [tokens.first, tokens.end]

            def look() -> None:
                if tokens is not None and trace is not None:
                    tokens.look(trace)

            memory.tofile(image)
            job = Job(
                name="model",
                image=str(image),
                memory_bytes=memory.size,
                word_bytes=params.axi_bytes,
                program=program,
                writable=[[0, memory.size]],
                limit_cycles=_NO_LIMIT,
                registers={name.upper(): value for name, value in set_first.items()},
                **asdict(self._timing),
                trace=str(trace or ""),
                traced=traced,
            )
            (outcome,) = self._simulate([job], params, look)
            result = _result(outcome)
            if isinstance(result, HardwareFault):
                raise result
            memory[:] = np.fromfile(image, np.uint8)
            return result

    def run(self, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> RtlResult:
        """Execute layers once, held to what they may write; see `sim.device.Device.run`."""
        job = {"trace": str(self._trace)} if self._trace else {}
        run = Run(compiled=compiled, inputs=inputs, timing=self._timing, job=job)
        (result,) = self.run_all([run])
        if isinstance(result, HardwareFault):
            raise result
        return result

    def run_all(self, runs: Sequence[Run]) -> list[RtlResult | HardwareFault]:
        """Execute layers for the same hardware, one after the other, in one process."""
        if not runs:
            return []
        with tempfile.TemporaryDirectory(prefix="spikeloom-") as directory:
            jobs = [_job(run, Path(directory) / f"memory{i}") for i, run in enumerate(runs)]
            outcomes = self._simulate(jobs, runs[0].compiled.params)
            return [
                _with_outputs(run.compiled, Path(job.image), _result(outcome))
                for run, job, outcome in zip(runs, jobs, outcomes, strict=True)
            ]

    def _simulate(
        self, jobs: Sequence[Job], params: HwParams, look: Callable[[], None] = lambda: None
    ) -> list[Outcome]:
        build = self._build or build_bench(
            params, memory=self._timing.memory, waves=self._waves is not None
        )

        def progress(bytes_read: int, cycles: int) -> None:
            self.cycles = cycles
            self._progress(bytes_read)

        return simulate(build, jobs, waves=self._waves, progress=progress, look=look)


def _job(run: Run, path: Path) -> Job:
    compiled = run.compiled
    image = memory_before(compiled, run.inputs)
    run.edit(image)
    image.tofile(path)
    values: dict[str, Any] = {
        "name": compiled.directory.name,
        "image": str(path),
        "memory_bytes": image.size,
        "word_bytes": compiled.params.axi_bytes,
        "program": compiled.program_address,
        "writable": writable(compiled),
        "limit_cycles": cycle_limit(compiled, run.timing),
        **asdict(run.timing),
    }
    return Job(**values | dict(run.job))


def _result(outcome: Outcome) -> RtlResult | HardwareFault:
    if outcome.failure:
        return HardwareFault(f"{outcome.name}: {outcome.failure}")
    return RtlResult(
        counters=dict(outcome.counters),
        error=Error(outcome.error),
        position=outcome.position,
        status=outcome.status,
        fingerprint=outcome.fingerprint,
        memory=outcome.memory,
        wall_seconds=outcome.wall_seconds,
    )


def _with_outputs(
    compiled: Compiled, image: Path, result: RtlResult | HardwareFault
) -> RtlResult | HardwareFault:
    if isinstance(result, HardwareFault):
        return result
    return replace(result, outputs=outputs_in(compiled, np.fromfile(image, np.uint8)))
