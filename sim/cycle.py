"""The cycle device: the functional device, and an exact model of the time the hardware takes.

The model, in C++ in ``sim/cycle_model``, has a block for each block of the hardware, with the same
registers and handshakes and none of the data. On its bus is the memory of the RTL's simulation.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from compiler.program import Compiled
from hw.isa import Opcode
from hw.params import HwParams
from hw.regs import Error
from sim.cycle_model import library as c
from sim.cycle_model.program import Batch, hardware, program
from sim.device import Result
from sim.errors import HardwareFault
from sim.functional import Functional, Observation
from sim.rtl import Timing

__all__ = ["Batch", "Cycle", "predict"]

_CYCLES_AT_ONCE = 1 << 20
_IDLE_CYCLES = 24
"""From the memory's reset to the start: what sim/bench/host.py takes over the registers. Only
random numbers have moved on by then."""


class Cycle:
    """The cycle device; see `sim.device.Device`.

    Parameters
    ----------
    timing : Timing
        The memory's, as for the rtl device.
    progress : callable
        Is given the bytes read so far, now and then.
    """

    name = "cycle"

    def __init__(
        self,
        *,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        progress: Callable[[int], None] = lambda _bytes_read: None,
    ) -> None:
        self._timing, self._progress = timing, progress

    def run(self, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> Result:
        """Execute the program once; see `sim.device.Device.run`.

        Raises
        ------
        HardwareFault
            Where the modelled hardware breaks the bus's protocol, or does not come to an end.
        """
        batches: list[Batch] = []

        def observe(seen: Observation) -> None:
            if seen.opcode is Opcode.ENCODE:
                batches.append(Batch(counts=seen.counts, thresholds=seen.thresholds))

        result = Functional(observe).run(compiled, inputs)
        if result.error is not Error.NONE:  # the model knows the way to an END only
            return result
        counters = predict(
            compiled.params,
            compiled.instructions(),
            batches,
            timing=self._timing,
            program_address=compiled.program_address,
            memory_bytes=compiled.memory_bytes,
            progress=self._progress,
        )
        return Result(outputs=result.outputs, counters=counters, error=result.error)


def predict(
    params: HwParams,
    instructions: Sequence[tuple[Opcode, Mapping[str, int]]],
    batches: Sequence[Batch],
    *,
    timing: Timing,
    program_address: int,
    memory_bytes: int,
    progress: Callable[[int], None] = lambda _bytes_read: None,
) -> dict[str, int]:
    """Return the counters that the hardware will have at the end of a program.

    Parameters
    ----------
    params : HwParams
        The hardware.
    instructions : sequence
        The program, decoded, up to its END.
    batches : sequence of Batch
        For each ENCODE, in order.
    timing : Timing
        The memory's.
    program_address, memory_bytes : int
        Where the program's header is, and the extent of memory.
    progress : callable
        Is given the bytes read so far, now and then.

    Returns
    -------
    dict of str to int
        Every counter of `hw.regs.COUNTERS`.

    Raises
    ------
    HardwareFault
        Where the modelled hardware breaks the bus's protocol, or does not come to an end.
    """
    encoded = program(params, instructions, batches)
    functions = c.library()
    memory = c.Timing(
        memory_bytes=memory_bytes,
        latency=timing.latency,
        stalls=timing.stalls,
        seed=timing.seed,
        idle_cycles=_IDLE_CYCLES,
    )
    slots = encoded.slots
    model = functions.cycle_model_open(hardware(params), memory, slots, len(slots), program_address)
    if not model:
        raise OSError(f"{memory_bytes:,} bytes of memory cannot be mapped")
    counters = c.Counters()
    try:
        done = -1
        while functions.cycle_model_run(model, _CYCLES_AT_ONCE):
            functions.cycle_model_counters(model, counters)
            progress(counters.dram_bytes_read)
            before = done
            done = counters.dram_bytes_read + counters.dram_bytes_written + counters.array_cycles
            if done == before:
                raise HardwareFault(f"the cycle model did nothing for {_CYCLES_AT_ONCE:,} cycles")
        functions.cycle_model_counters(model, counters)
        fault = functions.cycle_model_fault(model).decode()
    finally:
        functions.cycle_model_close(model)
    if fault:
        raise HardwareFault(f"the memory of the cycle model saw a fault: {fault}")
    return {name: getattr(counters, name) for name, _ in counters._fields_}
