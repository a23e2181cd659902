"""The host of several devices: it starts their programs segment by segment, and exchanges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.regs import Error
from sim.device import Device, Registers, no_counts
from sim.scale.link import Interconnect

__all__ = ["Progress", "execute"]

TOKENS = "tokens"
"""What is exchanged after the output head."""


@dataclass(kw_only=True)
class Progress:
    """How far the devices have come.

    Attributes
    ----------
    position : int
        That is, or would be, worked on.
    counters : list of dict
        Each device's, summed over its starts; None where the device has no notion of it.
    cycles : int or None
        Of the slowest device in each segment, summed: what the devices take without exchanges.
    error : Error
        The first error, `Error.NONE` after a good run.
    where : str
        Device and segment of the error.
    """

    position: int
    counters: list[dict[str, int | None]]
    cycles: int | None = 0
    error: Error = Error.NONE
    where: str = field(default="")


def execute(
    shards: Sequence[Compiled],
    memories: Sequence[np.ndarray],
    registers: Registers,
    interconnect: Interconnect,
    device: Callable[[int, int], Device],
    on_token: Callable[[int, int], None] = lambda _position, _token: None,
) -> Progress:
    """Run a whole model on several devices, as one device runs it from one start.

    Parameters
    ----------
    shards : sequence of Compiled
        What each device runs.
    memories : sequence of ndarray of uint8
        Their memory images with the prompt's tokens, changed in place.
    registers : Registers
        As the whole program would have them; each start is of one position.
    interconnect : Interconnect
        Between the memories.
    device : callable
        Returns what executes a start, given the number of those before and the place of its shard.
    on_token : callable
        Is given each position and the token that is put there.
    """
    progress = Progress(position=registers.first_position, counters=[no_counts() for _ in shards])
    words = shards[0].token_words(memories[0])
    starts = 0
    while (position := progress.position) != registers.end_position:
        if position >= registers.prompt_end and words[position] == registers.stop_token:
            break
        own = Registers(
            first_position=position, prompt_end=registers.prompt_end, end_position=position + 1
        )
        for segment in zip(*(shard.segments for shard in shards), strict=True):
            exchange = segment[0].exchange
            if exchange == TOKENS and position + 1 < registers.prompt_end:
                continue  # the next token is the host's
            slowest: int | None = 0
            for at, (shard, memory) in enumerate(zip(shards, memories, strict=True)):
                finished = device(starts, at).execute(
                    memory, segment[at].address, shard.params, own, lambda _position, _token: None
                )
                starts += 1
                _add(progress.counters[at], finished.counters)
                if finished.error is not Error.NONE:
                    progress.error = finished.error
                    progress.where = f"device {at}, segment {segment[at].name}"
                    return progress
                cycles = finished.counters["cycles"]
                if cycles is None or slowest is None:
                    slowest = None
                else:
                    slowest = max(slowest, cycles)
            if slowest is None or progress.cycles is None:
                progress.cycles = None
            else:
                progress.cycles += slowest
            if exchange == TOKENS:
                on_token(position + 1, interconnect.elect(position))
            else:
                interconnect.gather(exchange)
        progress.position += 1
    return progress


def _add(total: dict[str, int | None], counters: dict[str, int | None]) -> None:
    for name, value in counters.items():
        if value is not None:
            total[name] = (total[name] or 0) + value
