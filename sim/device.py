"""What every device offers: a compiled program and inputs go in, outputs and counters come out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.params import HwParams
from hw.contract.regs import COUNTERS, Error
from sim.memories import IDEAL, MEMORIES

__all__ = [
    "NO_TOKEN",
    "Device",
    "OnToken",
    "Registers",
    "Result",
    "Timing",
    "no_counts",
]

_DEFAULT_LATENCY = 60

NO_TOKEN = (1 << 32) - 1
"""A stop token that no vocabulary has."""

OnToken = Callable[[int, int], None]
"""Is given each position and the token that ARGMAX puts there, as it comes."""

_UNWRITTEN = 0xA5  # what outputs hold before the start


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How the memory behaves.

    Attributes
    ----------
    latency, stalls, seed, data_first
        Of the ideal memory, see `sim.rtl.bench.memory.configure`; a DRAM has its own.
    memory : str
        One of `sim.memories.MEMORIES`.

    Raises
    ------
    ValueError
        Naming the first value out of its range.
    """

    latency: int = _DEFAULT_LATENCY
    stalls: float = 0.0
    seed: int = 0
    memory: str = IDEAL
    data_first: bool = False

    def __post_init__(self) -> None:
        if self.memory not in MEMORIES:
            raise ValueError(f"memory must be one of {', '.join(MEMORIES)}, not {self.memory!r}")
        if not 1 <= self.latency <= 100_000:
            raise ValueError(f"latency must be 1 to 100000 cycles, not {self.latency}")
        if not 0 <= self.stalls <= 0.9:
            raise ValueError(f"stalls must be a probability from 0 to 0.9, not {self.stalls}")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed must be 0 to 2^63 - 1, not {self.seed}")
        if self.memory != IDEAL and (self.latency, self.stalls) != (_DEFAULT_LATENCY, 0):
            raise ValueError(
                f"latency and stalls must be left out with the memory {self.memory}: "
                "it has those of its controller"
            )
        if self.memory != IDEAL and self.data_first:
            raise ValueError(f"data_first must be left out with the memory {self.memory}")

    def told(self, device: str | None = None) -> dict[str, float | str | None]:
        """Return what a report says of it: None for what its memory has no notion of.

        That is all of it on the device ``board``, whose memory is a board's own.
        """
        if device == "board":
            return dict.fromkeys(("latency", "stalls", "seed", "memory"))
        told: dict[str, float | str | None] = asdict(self)
        if not self.data_first:  # no command asks for it
            del told["data_first"]
        return told if self.memory == IDEAL else told | {"latency": None, "stalls": None}

    def asked(self, device: str) -> dict[str, float | str]:
        """Return what a run's results depend on: of memory nothing on the functional device."""
        if device == "functional":
            return {}
        if self.memory != IDEAL:
            return {"memory": self.memory}
        memory: dict[str, float | str] = {"latency": self.latency, "stalls": self.stalls}
        memory |= {"seed": self.seed} if self.stalls else {}
        return memory | ({"data_first": True} if self.data_first else {})


@dataclass(frozen=True, kw_only=True)
class Registers:
    """What the host sets before it starts a program, by the names of `hw.contract.regs.REGISTERS`.

    A program without TOKEN needs none of it.
    """

    first_position: int = 0
    prompt_end: int = 0
    end_position: int = 0
    stop_token: int = NO_TOKEN


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the host finds when a program has ended.

    Attributes
    ----------
    counters : dict of str to int or None
        By name of `hw.contract.regs.COUNTERS`; None where the device has no notion of it.
    error : Error
        The first error, `Error.NONE` after a good run.
    position : int
        Register POSITION.
    outputs : dict of str to ndarray
        Of layers, by output region, (tokens, channels) in int32 (Q15.16); after an error, whatever
        is there.
    """

    counters: dict[str, int | None]
    error: Error
    position: int = 0
    outputs: dict[str, np.ndarray] = field(default_factory=dict)


class Device(ABC):
    """Something that executes programs; `sim.devices.open_device` returns one by its name.

    Attributes
    ----------
    name : str
        As commands call it.
    cycles : int or None
        Those that the program under way has taken so far; None where the device cannot tell.
    observes : bool
        Whether it tells an observer of each instruction.
    """

    name: str
    cycles: int | None = None
    observes: bool = True

    @abstractmethod
    def execute(
        self,
        memory: np.ndarray,
        program: int,
        params: HwParams,
        registers: Registers | None = None,
        on_token: OnToken = lambda _position, _token: None,
    ) -> Result:
        """Execute a program once: of layers, of a whole model, or a segment of one.

        Parameters
        ----------
        memory : ndarray of uint8
            The memory image, changed in place.
        program : int
            Byte address of the program's header.
        params : HwParams
            The hardware.
        registers : Registers, optional
            What is set before the start; by default nothing is.
        on_token : callable
            Is given each position and the token that ARGMAX puts there, as it comes.

        Raises
        ------
        HardwareFault
            Where the hardware breaks the bus's protocol, or does not come to an end.
        """

    def run(self, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> Result:
        """Execute compiled layers once, from a fresh memory.

        Parameters
        ----------
        compiled : Compiled
            The program and its weights.
        inputs : mapping of str to ndarray
            For each input region its vectors, (tokens, channels) in int32 (Q15.16).

        Raises
        ------
        ValueError
            Where `inputs` are not those of `compiled`.
        HardwareFault
            As of `execute`.
        """
        memory = memory_before(compiled, inputs)
        found = self.execute(memory, compiled.program_address, compiled.params)
        return replace(found, outputs=outputs_in(compiled, memory))


def memory_before(compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return a memory image with inputs, in which no output is right by chance."""
    memory = compiled.image(inputs)
    for region in compiled.outputs.values():
        memory[region.address : region.address + region.bytes] = _UNWRITTEN
    return memory


def outputs_in(compiled: Compiled, memory: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs that a memory image holds, by region."""
    return {name: compiled.read(memory, name) for name in compiled.outputs}


def no_counts() -> dict[str, int | None]:
    """Return every counter, in the order of the registers, not counted yet."""
    return dict.fromkeys(COUNTERS)
