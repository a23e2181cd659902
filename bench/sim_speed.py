"""How fast the RTL is simulated, how long its simulator takes to build, and where the time goes."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.verilated import build_loop, run_loop
from bench.workload import Program, Workload
from hw.contract.presets import PRESETS, preset
from hw.generate.emit import emit
from sim.device import Timing
from sim.rtl.bench.job import JOBS_VARIABLE, Job, read_outcomes, write_jobs
from sim.rtl.builds import build_bench
from sim.rtl.limits import cycle_limit
from sim.rtl.simulator import cocotb_run
from sim.rtl.verilog import Build, wave_format

__all__ = ["COCOTB", "LOOP", "measure"]

LOOP, COCOTB = "C++ loop", "cocotb"
"""The two simulators that every preset is measured with."""

_HOST, _HOST_IN_STEP = "sim.rtl.bench.host", "bench.every_cycle"
_TIMING = Timing()


def measure(
    *,
    model: str = "smollm2-135m",
    presets: Sequence[str] = tuple(PRESETS),
    layer: str = "mlp0",
    repeats: int = 3,
    causes: bool = True,
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Run one layer on simulators that differ in one thing each.

    Parameters
    ----------
    model, layer : str
        What is run, for one token.
    presets : sequence of str
        On what.
    repeats : int
        Runs of each simulator, of which the fastest counts: others' work only ever slows one down.
    causes : bool
        Whether to measure, beside cocotb and the loop, what makes simulators slow.
    say : callable
        Is told what is being done.

    Returns
    -------
    dict
        JSON values; in ``rows``, by preset and simulator, cycles, seconds and cycles per second,
        and the seconds of its build without any cache.

    Raises
    ------
    RuntimeError
        Where a run is not bit-exact, or two simulators count different cycles.
    """
    say("golden model: activations of the prompt")
    workload = Workload(model, tokens=1)
    rows, emissions = [], {}
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch, _without_ccache():
        for name in presets:
            directory = Path(scratch) / name
            params = preset(name)
            program = workload.program([layer], directory / "program", params=params)
            with _timed() as seconds:
                emit(params, directory / "verilog")
            emissions[name] = seconds()
            bench = _Bench(program, directory, repeats)
            simulators = bench.causes() if causes else {}
            for label, run in {**bench.fair(), **simulators}.items():
                say(f"{name}: {label}")
                rows.append({"preset": name, "simulator": label, **run()})
            if len({row["cycles"] for row in rows if row["preset"] == name}) > 1:
                raise RuntimeError(f"{name}: the simulators count different cycles: {rows}")
    return {
        "model": workload.model,
        "layer": layer,
        "repeats": repeats,
        "latency": _TIMING.latency,
        "cores": os.cpu_count(),
        "emission_seconds": emissions,
        "rows": rows,
    }


@contextmanager
def _without_ccache():
    """Keep ccache, where there is one, out of the builds inside."""
    before = os.environ.get("CCACHE_DISABLE")
    os.environ["CCACHE_DISABLE"] = "1"
    try:
        yield
    finally:
        del os.environ["CCACHE_DISABLE"]
        if before is not None:
            os.environ["CCACHE_DISABLE"] = before


@contextmanager
def _timed():
    """Give a function that returns the seconds since."""
    begin = time.perf_counter()
    yield lambda: time.perf_counter() - begin


class _Bench:
    """One program on one accelerator, and the simulators to run it on."""

    def __init__(self, program: Program, directory: Path, repeats: int) -> None:
        self._program, self._directory, self._repeats = program, directory, repeats

    def fair(self) -> dict[str, Callable[[], dict[str, object]]]:
        """Return, by name, what builds and runs the bare loop and the simulator as it is used."""
        return {LOOP: self._loop, COCOTB: self._cocotb}

    def causes(self) -> dict[str, Callable[[], dict[str, object]]]:
        """Return the same for simulators with one thing more that costs time."""
        return {
            f"{LOOP}, every signal public": lambda: self._loop("--public-flat-rw"),
            f"{COCOTB}, Python at every cycle": lambda: self._cocotb(module=_HOST_IN_STEP),
            f"{COCOTB}, able to record waves": lambda: self._cocotb(waves=True),
            f"{COCOTB}, recording waves": lambda: self._cocotb(waves=True, record=True),
        }

    def _loop(self, *options: str) -> dict[str, object]:
        params = self._program.compiled.params
        directory = self._directory / f"loop{len(options)}"
        with _timed() as seconds:
            executable = build_loop(params, directory, options)
        build_seconds = seconds()
        image = directory / "memory"
        runs = [run_loop(executable, self._program, image, _TIMING) for _ in range(self._repeats)]
        return _row([(int(run["cycles"]), run["seconds"]) for run in runs], build_seconds)

    def _cocotb(
        self, *, module: str = _HOST, waves: bool = False, record: bool = False
    ) -> dict[str, object]:
        root = self._directory / f"cocotb{int(waves)}"
        with _timed() as seconds:
            build = build_bench(self._program.compiled.params, waves=waves, root=root)
        build_seconds = None if build.cached else seconds()
        file = root / f"waves.{wave_format()}" if record else None
        repeats = 1 if record else self._repeats
        return _row(self._run_cocotb(build, module, file, repeats), build_seconds)

    def _run_cocotb(
        self, build: Build, module: str, waves: Path | None, repeats: int
    ) -> list[tuple[int, float]]:
        compiled = self._program.compiled
        with tempfile.TemporaryDirectory(dir=self._directory) as scratch:
            path = Path(scratch) / "jobs"
            jobs = [self._job(path.with_name(f"memory{n}")) for n in range(repeats)]
            write_jobs(path, jobs)
            cocotb_run(
                build, module, path.parent, environment={JOBS_VARIABLE: str(path)}, waves=waves
            )
            outcomes = read_outcomes(path)
            for job, outcome in zip(jobs, outcomes, strict=True):
                memory = np.fromfile(job.image, np.uint8)
                if outcome.failure or outcome.error:
                    raise RuntimeError(f"{module}: {outcome.failure or outcome.error}")
                for name, expected in self._program.expected.outputs.items():
                    if not np.array_equal(compiled.read(memory, name), expected):
                        raise RuntimeError(f"{module}: {name} is not golden's")
        return [(outcome.counters["cycles"], outcome.wall_seconds) for outcome in outcomes]

    def _job(self, image: Path) -> Job:
        compiled = self._program.compiled
        memory = compiled.image(self._program.inputs)
        memory.tofile(image)
        return Job(
            name=image.name,
            image=str(image),
            memory_bytes=memory.size,
            word_bytes=compiled.params.axi_bytes,
            program=compiled.program_address,
            writable=[[r.address, r.address + r.bytes] for r in compiled.outputs.values()],
            limit_cycles=cycle_limit(compiled, _TIMING),
            latency=_TIMING.latency,
        )


def _row(runs: Sequence[tuple[int, float]], build_seconds: float | None) -> Mapping[str, object]:
    cycles, seconds = min(runs, key=lambda run: run[1])
    return {
        "cycles": cycles,
        "seconds": seconds,
        "cycles_per_second": cycles / seconds,
        "build_seconds": build_seconds,
    }
