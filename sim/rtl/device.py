"""The rtl device: the generated Verilog, simulated cycle by cycle with a memory on its bus."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.isa import Coding, Opcode
from hw.contract.params import HwParams
from hw.contract.regs import Error
from sim.device import Finished, Registers, Result
from sim.errors import HardwareFault
from sim.rtl.bench.job import Job, Outcome
from sim.rtl.builds import build_bench
from sim.rtl.simulator import simulate
from sim.rtl.tokens import TokenStream
from sim.rtl.verilog import Build

__all__ = ["Rtl", "RtlResult", "Run", "Timing", "cycle_limit"]

_UNWRITTEN = 0xA5  # what outputs hold before the start
_NO_LIMIT = 1 << 60
_LIMIT_FLOOR_CYCLES = 1_000_000  # beyond the host's patience with a bus that stands still


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How the memory behaves: see `sim.rtl.bench.memory.configure`.

    Raises
    ------
    ValueError
        Naming the first value out of its range.
    """

    latency: int = 60
    stalls: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.latency <= 100_000:
            raise ValueError(f"latency must be 1 to 100000 cycles, not {self.latency}")
        if not 0 <= self.stalls <= 0.9:
            raise ValueError(f"stalls must be a probability from 0 to 0.9, not {self.stalls}")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed must be 0 to 2^63 - 1, not {self.seed}")


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
    """One program to run: what `Rtl.run` takes, and what may be varied beyond that.

    Attributes
    ----------
    compiled, inputs
        As `sim.device.Device.run` takes them.
    timing : Timing
        The memory's.
    edit : callable
        Changes the memory image before the start.
    job : dict
        Further attributes of `sim.rtl.bench.job.Job`.
    """

    compiled: Compiled
    inputs: Mapping[str, np.ndarray]
    timing: Timing = Timing()
    edit: Callable[[np.ndarray], None] = lambda _image: None
    job: Mapping[str, object] | None = None


class Rtl:
    """The rtl device; see `sim.device.Device`.

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

    def run(self, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> RtlResult:
        """Execute the program once; see `sim.device.Device.run`.

        Raises
        ------
        HardwareFault
            Where the hardware breaks the bus's protocol, or does not come to an end.
        """
        job = {"trace": str(self._trace)} if self._trace else {}
        run = Run(compiled=compiled, inputs=inputs, timing=self._timing, job=job)
        (result,) = self.run_all([run])
        if isinstance(result, HardwareFault):
            raise result
        return result

    def execute(
        self,
        memory: np.ndarray,
        program: int,
        params: HwParams,
        registers: Registers,
        on_token: Callable[[int, int], None],
    ) -> Finished:
        """Execute a whole model's program once; see `sim.device.WholeDevice.execute`.

        Raises
        ------
        HardwareFault
            Where the hardware breaks the bus's protocol, or does not come to an end.
        """
        build = self._build or build_bench(params, waves=self._waves is not None)
        with tempfile.TemporaryDirectory(prefix="spikeloom-") as directory:
            image = Path(directory) / "memory"
            made = TokenStream(memory, program, registers, on_token)
            memory.tofile(image)
            job = Job(
                name="model",
                image=str(image),
                memory_bytes=memory.size,
                word_bytes=params.axi_bytes,
                program=program,
                writable=[[0, memory.size]],
                limit_cycles=_NO_LIMIT,
                registers={name.upper(): value for name, value in asdict(registers).items()},
                latency=self._timing.latency,
                stalls=self._timing.stalls,
                seed=self._timing.seed,
                trace=str(self._trace or Path(directory) / "trace"),
                traced=[] if self._trace else [made.first, made.end],
            )
            (outcome,) = simulate(
                build,
                [job],
                waves=self._waves,
                progress=self._progress,
                look=lambda: made.look(Path(job.trace)),
            )
            if outcome.failure:
                raise HardwareFault(f"{outcome.name}: {outcome.failure}")
            memory[:] = np.fromfile(image, np.uint8)
        return Finished(
            counters=outcome.counters, error=Error(outcome.error), position=outcome.position
        )

    def run_all(self, runs: Sequence[Run]) -> list[RtlResult | HardwareFault]:
        """Execute programs for the same hardware, one after the other, in one process."""
        if not runs:
            return []
        build = self._build or build_bench(runs[0].compiled.params, waves=self._waves is not None)
        with tempfile.TemporaryDirectory(prefix="spikeloom-") as directory:
            jobs = [_job(run, Path(directory) / f"memory{i}") for i, run in enumerate(runs)]
            outcomes = simulate(build, jobs, waves=self._waves, progress=self._progress)
            return [
                _result(run.compiled, Path(job.image), outcome)
                for run, job, outcome in zip(runs, jobs, outcomes, strict=True)
            ]


def _job(run: Run, path: Path) -> Job:
    compiled, timing = run.compiled, run.timing
    image = compiled.image(run.inputs)
    for region in compiled.outputs.values():
        image[region.address : region.address + region.bytes] = _UNWRITTEN
    run.edit(image)
    image.tofile(path)
    values = {
        "name": compiled.directory.name,
        "image": str(path),
        "memory_bytes": image.size,
        "word_bytes": compiled.params.axi_bytes,
        "program": compiled.program_address,
        "writable": _writable(compiled),
        "limit_cycles": cycle_limit(compiled, timing),
        "latency": timing.latency,
        "stalls": timing.stalls,
        "seed": timing.seed,
    }
    return Job(**values | dict(run.job or {}))


def _writable(compiled: Compiled) -> list[list[int]]:
    """Return the addresses of output elements; the padding behind a vector is none."""
    ranges: list[list[int]] = []
    for region in compiled.outputs.values():
        stride = compiled.params.vector_bytes(region.channels)
        for token in range(compiled.tokens):
            first = region.address + token * stride
            end = first + 4 * region.channels
            if ranges and ranges[-1][1] == first:
                ranges[-1][1] = end
            else:
                ranges.append([first, end])
    return ranges


def _result(compiled: Compiled, image: Path, outcome: Outcome) -> RtlResult | HardwareFault:
    if outcome.failure:
        return HardwareFault(f"{outcome.name}: {outcome.failure}")
    memory = np.fromfile(image, np.uint8)
    return RtlResult(
        outputs={name: compiled.read(memory, name) for name in compiled.outputs},
        counters=outcome.counters,
        error=Error(outcome.error),
        status=outcome.status,
        fingerprint=outcome.fingerprint,
        memory=outcome.memory,
        wall_seconds=outcome.wall_seconds,
    )


def cycle_limit(compiled: Compiled, timing: Timing) -> int:
    """Return more cycles than the program can need: as if nothing overlapped, and everything fired.

    Every word waits for a burst of its own, every channel spends all its time steps, and all of
    that twice, and longer by the stalls.
    """
    params = compiled.params
    cycles = channels = steps = tokens = 0
    word_cycles = 1 + timing.latency / params.max_burst_words
    for opcode, fields in compiled.instructions():
        if opcode is Opcode.ENCODE:
            channels, tokens = fields["channels"], fields["tokens"]
            steps = {coding.value: params.step_width for coding in Coding}
            steps[Coding.UNARY.value] = fields["max_count"]
            vector_words = params.vector_bytes(channels) // params.axi_bytes
            cycles += tokens * (2 * vector_words * word_cycles + channels + timing.latency)
        elif opcode is Opcode.MATMUL:
            for outputs in params.tiles(fields["outputs"]):
                words = params.row_words(outputs, fields["weight_width"])
                beats = params.row_beats(outputs, fields["weight_width"])
                spent = beats * steps[fields["coding"]]
                cycles += channels * (words * word_cycles + spent + 1)
                cycles += outputs * (tokens + 2) * word_cycles + 4 * timing.latency
    return _LIMIT_FLOOR_CYCLES + int(2 * cycles / (1 - timing.stalls) ** 2)
