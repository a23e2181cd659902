"""The cycle device: the functional device, and an exact model of the time the hardware takes.

The model, in C++ in ``sim/cycle/model``, has a block for each block of the hardware, with the same
registers and handshakes and none of the data. On its bus is the memory of the RTL's simulation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hw.contract import isa
from hw.contract.isa import Opcode
from hw.contract.params import HwParams
from hw.contract.regs import Error
from sim.cycle import library as c
from sim.cycle.model_run import ModelRun
from sim.device import Device, OnToken, Registers, Result, Timing
from sim.functional.device import Functional, Observation
from sim.memories import IDEAL

__all__ = ["Batch", "Cycle", "predict"]

_IDLE_CYCLES = 24
_IDLE_CYCLES_WITH_REGISTERS = 32
"""From the memory's reset to the start: what sim/rtl/bench/host.py takes over the registers. Only
random numbers have moved on by then."""


class Cycle(Device):
    """The cycle device.

    Parameters
    ----------
    timing : Timing
        The memory's, as for the rtl device.
    progress : callable
        Is given the bytes read so far, now and then.
    observe : callable, optional
        Told an `Observation` after each instruction.
    """

    name = "cycle"

    def __init__(
        self,
        *,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        progress: Callable[[int], None] = lambda _bytes_read: None,
        observe: Callable[[Observation], None] | None = None,
    ) -> None:
        self._timing, self._progress = timing, progress
        self._observe = observe or (lambda _seen: None)

    def execute(
        self,
        memory: np.ndarray,
        program: int,
        params: HwParams,
        registers: Registers | None = None,
        on_token: OnToken = lambda _position, _token: None,
    ) -> Result:
        """Execute a program once; see `sim.device.Device.execute`."""
        header = memory[program : program + isa.HEADER.size // 8].tobytes()
        host = c.Host(program=program, slots=isa.unpack(isa.HEADER, header)["slots"])
        idle_cycles = _IDLE_CYCLES
        if registers is not None:
            idle_cycles = _IDLE_CYCLES_WITH_REGISTERS
            host.first_position = registers.first_position
            host.prompt_end = registers.prompt_end
            host.end_position = registers.end_position
        timing = _memory(memory.size, self._timing, idle_cycles)
        dram = self._timing.memory != IDEAL
        with ModelRun(params, timing, host, self._progress, dram=dram) as model:

            def both(seen: Observation) -> None:
                self._observe(seen)
                model.add(seen)

            def told(position: int, token: int) -> None:
                self.cycles = model.counters()["cycles"]
                on_token(position, token)

            found = Functional(both).execute(memory, program, params, registers, told)
            if found.error is not Error.NONE:
                return found  # the model knows the way to an END only
            return replace(found, counters=dict(model.counters()))


def _memory(memory_bytes: int, timing: Timing, idle_cycles: int = _IDLE_CYCLES) -> c.Timing:
    return c.Timing(
        memory_bytes,
        timing.latency,
        timing.stalls,
        timing.seed,
        idle_cycles,
        timing.data_first,
    )


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What an ENCODE finds.

    Attributes
    ----------
    counts : ndarray
        Spike counts, (tokens, channels), integers.
    thresholds : sequence of int
        V of each token.
    """

    counts: np.ndarray
    thresholds: Sequence[int]


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
    """Return the counters that the hardware will have at the end of layers' program.

    Parameters
    ----------
    params : HwParams
        The hardware.
    instructions : sequence
        The program, decoded, up to its END: nothing but ENCODE and MATMUL before that.
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
        Every counter of `hw.contract.regs.COUNTERS`.

    Raises
    ------
    HardwareFault
        Where the modelled hardware breaks the bus's protocol, or does not come to an end.
    """
    host = c.Host(program=program_address, slots=len(instructions))
    following = iter(batches)
    memory, dram = _memory(memory_bytes, timing), timing.memory != IDEAL
    with ModelRun(params, memory, host, progress, dram=dram) as model:
        for index, (opcode, fields) in enumerate(instructions):
            seen = Observation(index=index, opcode=opcode, fields=fields)
            if opcode is Opcode.ENCODE:
                batch = next(following)
                seen = replace(seen, counts=batch.counts, thresholds=batch.thresholds)
            model.add(seen)
        return model.counters()
