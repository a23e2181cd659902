"""Memories in Python, for the blocks that ask for segments and for those that drive the port."""

import random
from collections import deque
from collections.abc import Callable, Collection

from amaranth.sim import SimulatorContext

from hw.contract.params import HwParams
from tests.harness.streams import StreamRule

__all__ = ["PortReads", "PortWrites", "noise", "serve"]


def noise(address: int, width: int) -> int:
    """Return a memory word of `width` bits that is a function of its address, and rarely alike."""
    return random.Random(address).getrandbits(width)


async def serve(
    ctx: SimulatorContext,
    request,
    words,
    read: Callable[[int], int],
    rng: random.Random,
    idle: float = 0.0,
    stall: float = 0.0,
    segments: list | None = None,
) -> None:
    """Answer segments with ``read(address)``, word after word, without end.

    Parameters
    ----------
    ctx : SimulatorContext
        The test bench's.
    request, words : stream
        The client's segments (`hw.memory.port.segment_layout`), and their words.
    read : callable
        Returns the word at a word address.
    rng, idle, stall
        Random numbers, probability of a cycle without a word, and without taking a segment.
    segments : list, optional
        Is appended every segment, as (address, words).
    """
    pending = deque()
    rule = StreamRule()
    offered = False
    while True:
        ctx.set(request.ready, ready := rng.random() >= stall)
        if pending and not offered:
            offered = rng.random() >= idle
            ctx.set(words.payload, read(pending[0]))
        ctx.set(words.valid, offered)
        _, _, valid, payload, taken = await ctx.tick().sample(
            request.valid, request.payload, words.ready
        )
        if rule.check(valid, ready, payload):
            assert payload.words > 0, "an empty segment"
            pending.extend(range(payload.address, payload.address + payload.words))
            if segments is not None:
                segments.append((payload.address, payload.words))
        if offered and taken:
            pending.popleft()
            offered = False


def check_burst(params: HwParams, address: int, words: int) -> None:
    """Hold a burst against AXI4's limits and the accelerator's."""
    page_words = 4096 // params.axi_bytes
    assert 1 <= words <= params.max_burst_words
    assert address // page_words == (address + words - 1) // page_words, "a burst crosses 4 KiB"


class PortReads:
    """Answers bursts of the channel AR on R: the bursts of one client in order, clients mixed.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    rng, idle, stall
        Random numbers, probability of a cycle without a word, and without taking a burst.
    failed : collection of int
        Word addresses that the memory marks as failed.

    Attributes
    ----------
    bursts : list
        Of (client, address, words), in the order of AR.
    """

    def __init__(
        self,
        params: HwParams,
        rng: random.Random,
        idle: float = 0.0,
        stall: float = 0.0,
        failed: Collection[int] = (),
    ) -> None:
        self._params, self._rng = params, rng
        self._idle, self._stall = idle, stall
        self._failed = failed
        self.bursts = []

    async def run(self, ctx: SimulatorContext, o_address, i_data) -> None:
        """Serve without end."""
        pending = {}
        rule = StreamRule()
        while True:
            ctx.set(o_address.ready, ready := self._rng.random() >= self._stall)
            waiting = [client for client, words in pending.items() if words]
            offered = bool(waiting) and self._rng.random() >= self._idle
            ctx.set(i_data.valid, offered)
            if offered:
                client = self._rng.choice(waiting)
                address = pending[client].popleft()
                word = {
                    "data": noise(address, self._params.axi_data_width),
                    "client": client,
                    "failed": address in self._failed,
                }
                ctx.set(i_data.payload, word)
            _, _, valid, payload, taken = await ctx.tick().sample(
                o_address.valid, o_address.payload, i_data.ready
            )
            assert taken or not offered, "data waits at the port"
            if rule.check(valid, ready, payload):
                address, words = payload.burst.address, payload.burst.words
                check_burst(self._params, address, words)
                self.bursts.append((payload.client, address, words))
                pending.setdefault(payload.client, deque()).extend(range(address, address + words))


class PortWrites:
    """Takes bursts of the channels AW and W and acknowledges them on B.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    rng, idle, stall
        Random numbers, probability of a cycle without an acknowledgement, and without taking.
    failed : collection of int
        Word addresses of bursts that are acknowledged as failed.

    Attributes
    ----------
    bursts : list
        Of (address, words), in order.
    bytes : dict of int to int
        What was written, by byte address.
    unacknowledged : int
        Bursts whose address was taken and that have not been acknowledged.
    """

    def __init__(
        self,
        params: HwParams,
        rng: random.Random,
        idle: float = 0.0,
        stall: float = 0.0,
        failed: Collection[int] = (),
    ) -> None:
        self._params, self._rng = params, rng
        self._idle, self._stall = idle, stall
        self._failed = failed
        self.bursts, self.bytes = [], {}
        self.unacknowledged = 0

    async def run(self, ctx: SimulatorContext, o_address, o_data, i_response) -> None:
        """Serve without end."""
        bursts, words, complete = deque(), deque(), deque()
        address_rule, data_rule = StreamRule(), StreamRule()
        written = 0  # words of the first burst
        while True:
            address_ready, data_ready = (self._rng.random() >= self._stall for _ in range(2))
            ctx.set(o_address.ready, address_ready)
            ctx.set(o_data.ready, data_ready)
            answer = bool(complete) and self._rng.random() >= self._idle
            ctx.set(i_response.valid, answer)
            if answer:
                ctx.set(i_response.payload, complete.popleft() in self._failed)
            _, _, address_valid, burst, data_valid, word = await ctx.tick().sample(
                o_address.valid, o_address.payload, o_data.valid, o_data.payload
            )
            self.unacknowledged -= answer
            if address_rule.check(address_valid, address_ready, burst):
                check_burst(self._params, burst.address, burst.words)
                bursts.append((burst.address, burst.words))
                self.bursts.append(bursts[-1])
                self.unacknowledged += 1
            if data_rule.check(data_valid, data_ready, word):
                words.append(word)
            while bursts and words:
                first, length = bursts[0]
                self._store(first + written, words[0].data, words[0].strobe)
                written += 1
                assert words.popleft().last == (written == length), "last is not at the burst's end"
                if written == length:
                    complete.append(bursts.popleft()[0])
                    written = 0

    def _store(self, address: int, data: int, strobe: int) -> None:
        for byte in range(self._params.axi_bytes):
            if strobe >> byte & 1:
                place = address * self._params.axi_bytes + byte
                assert place not in self.bytes, f"byte {place:#x} is written twice"
                self.bytes[place] = data >> 8 * byte & 0xFF
