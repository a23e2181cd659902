"""One run of the model: it is handed instructions, and runs as far as it can with them."""

from collections.abc import Callable

from hw.contract.isa import Opcode
from hw.contract.params import HwParams
from sim.cycle import library as c
from sim.cycle.program import Translator, hardware
from sim.errors import HardwareFault
from sim.functional.machine import Observation

__all__ = ["CYCLES_AT_ONCE", "ModelRun"]

CYCLES_AT_ONCE = 1 << 20
"""So often the progress is told."""


class ModelRun:
    """A context in which the model runs; it keeps the instructions of one token at most.

    Parameters
    ----------
    params : HwParams
        The hardware.
    memory : sim.cycle.library.Timing
        The memory.
    host : sim.cycle.library.Host
        What is set before the start.
    progress : callable
        Is given the bytes read so far, now and then.
    dram : bool
        Whether LiteDRAM's controller takes the place of the ideal memory.

    Raises
    ------
    OSError
        On entry, where the memory cannot be mapped.
    """

    def __init__(
        self,
        params: HwParams,
        memory: c.Timing,
        host: c.Host,
        progress: Callable[[int], None],
        *,
        dram: bool = False,
    ) -> None:
        self._params, self._memory, self._host = params, memory, host
        self._progress = progress
        self._functions = c.library(dram_of=params if dram else None)
        self._translator = Translator(params)
        self._pause = CYCLES_AT_ONCE
        self._done = -1
        self._counters = c.Counters()

    def __enter__(self) -> "ModelRun":
        """Start it."""
        self._model = self._functions.cycle_model_open(
            hardware(self._params), self._memory, self._host
        )
        if not self._model:
            raise OSError(f"{self._memory.memory_bytes:,} bytes of memory cannot be mapped")
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        self._functions.cycle_model_close(self._model)

    def add(self, seen: Observation) -> None:
        """Hand over the next instruction, and run until another one is missing.

        Raises
        ------
        HardwareFault
            Where the modelled hardware breaks the bus's protocol, or does nothing.
        """
        self._functions.cycle_model_add(self._model, self._translator.instruction(seen))
        while (state := self._functions.cycle_model_run(self._model, self._pause)) == c.PAUSED:
            self._look()
        if fault := self._functions.cycle_model_fault(self._model).decode():
            raise HardwareFault(f"the memory of the cycle model saw a fault: {fault}")
        if seen.opcode is Opcode.TOKEN and state == c.STARVED:
            self._translator.forget()

    def counters(self) -> dict[str, int]:
        """Return every counter of `hw.contract.regs.COUNTERS`."""
        self._functions.cycle_model_counters(self._model, self._counters)
        return {name: getattr(self._counters, name) for name, *_ in c.Counters._fields_}

    def _look(self) -> None:
        counters = self.counters()
        self._progress(counters["dram_bytes_read"])
        before = self._done
        self._done = sum(
            counters[name] for name in ("dram_bytes_read", "dram_bytes_written", "array_cycles")
        )
        if self._done == before:
            raise HardwareFault(f"the cycle model did nothing for {CYCLES_AT_ONCE:,} cycles")
        self._pause += CYCLES_AT_ONCE
