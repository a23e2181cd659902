"""The simulated accelerator behind a socket, as a board stands behind its bridge."""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from hw.contract.params import HwParams
from sim.device import Timing
from sim.errors import ToolError
from sim.rtl.bench.board import PORT_FILE, REGISTERS_BASE, SETTINGS
from sim.rtl.builds import build_bench
from sim.rtl.simulator import cocotb_run
from sim.rtl.verilog import Build

__all__ = ["REGISTERS_BASE", "Served"]

_START_SECONDS = 60


class _Enough(Exception):
    """The process is to be ended."""


class Served:
    """A process of the simulator that answers on a port of this machine; a context.

    Parameters
    ----------
    params : HwParams
        The hardware.
    memory_bytes : int
        Of its memory.
    timing : Timing
        The memory's.
    build : Build, optional
        Of `sim.rtl.builds.build_bench`; by default that of the parameters.
    say : callable
        Is told where the build takes its time.
    failing_reads, failing_writes : sequence of (first, end)
        Addresses that answer with SLVERR.

    Attributes
    ----------
    port : int
        Where it listens, once the context is entered.
    """

    port: int

    def __init__(
        self,
        params: HwParams,
        memory_bytes: int,
        *,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        build: Build | None = None,
        say: Callable[[str], None] = lambda _doing: None,
        failing_reads: Sequence[tuple[int, int]] = (),
        failing_writes: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._build = build or build_bench(params, memory=timing.memory, say=say)
        self._settings = {
            "memory_bytes": memory_bytes,
            "word_bytes": params.axi_bytes,
            **{n: getattr(timing, n) for n in ("latency", "stalls", "seed", "data_first")},
            "writable": [[0, memory_bytes]],
            "failing_reads": list(failing_reads),
            "failing_writes": list(failing_writes),
        }
        self._ending = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def error(self) -> Exception | None:
        """What ended the process before its time."""
        return self._error

    def __enter__(self) -> Self:
        """Start the process and wait until it listens."""
        self._directory = tempfile.TemporaryDirectory(prefix="spikeloom-")
        self._place = Path(self._directory.name)
        image = self._place / "memory"
        with image.open("wb") as file:
            file.truncate(self._settings["memory_bytes"])
        self._settings["image"] = str(image)
        self._thread.start()
        until = time.monotonic() + _START_SECONDS
        port = self._place / PORT_FILE
        while not port.exists():
            if not self._thread.is_alive() or time.monotonic() > until:
                self.close()
                raise self._error or ToolError("the simulator does not start")
            time.sleep(0.02)
        self.port = int(port.read_text())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process."""
        self._ending.set()
        self._thread.join()
        self._directory.cleanup()

    def _run(self) -> None:
        environment = {SETTINGS: json.dumps(self._settings)}
        try:
            cocotb_run(
                self._build,
                "sim.rtl.bench.serve",
                self._place,
                environment=environment,
                look=self._look,
            )
        except _Enough:
            pass
        except ToolError as error:
            self._error = error

    def _look(self) -> None:
        if self._ending.is_set():
            raise _Enough
