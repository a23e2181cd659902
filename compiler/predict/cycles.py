"""How long a token takes, predicted from bytes, steps and latencies: no spike is looked at.

Between two fences the units work beside each other: the encoder with the array behind it, the
vector unit, and the port that all read from. What takes longest sets the pace; what the results
take to reach memory comes after it. The constants are those of the blocks' Timing lines; what they
leave out is measured against the exact cycle model (docs/performance.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from compiler.predict.costs import Cost
from hw.contract.isa import Opcode
from hw.contract.params import HwParams

__all__ = ["CAUSES", "CLOCK_MHZ", "LATENCY", "Prediction", "Timed", "predict"]

CAUSES = ("array", "stall", "encode", "vector", "drain", "idle")
"""What a cycle is for, as the counters of `hw.contract.regs` have it."""
CLOCK_MHZ = 100.0
"""Where no board and nobody says another: what the preset edge aims at, an assumption."""
LATENCY = 60
"""Cycles from a read to its first word, and from a write to its acknowledgement."""

_THRESHOLD = 61  # serial division of an ENCODE, and its pipeline, a token
_NORM = 135  # division, root, division, a row
_SOFTMAX = 100  # the reciprocal, and three pipelines that run empty, a row
_STARTS = 14  # of a VECTOR, and of results that follow the last tile
_KEY = 4  # cycles to write one byte by itself


@dataclass(frozen=True, kw_only=True)
class Timed:
    """An instruction and when it is executed.

    Attributes
    ----------
    cost : Cost
        The instruction.
    start, cycles : float
        From the start of the token, and how long its unit is taken.
    """

    cost: Cost
    start: float
    cycles: float


@dataclass(kw_only=True)
class Prediction:
    """A token's time.

    Attributes
    ----------
    steps : list of Timed
        Its instructions in order.
    layers : dict of int or None to dict of str to float
        Cycles by layer (None: embedding, head, control) and by cause.
    """

    steps: list[Timed] = field(default_factory=list)
    layers: dict[int | None, dict[str, float]] = field(default_factory=dict)

    @property
    def causes(self) -> dict[str, float]:
        """Cycles by cause."""
        return {cause: sum(of[cause] for of in self.layers.values()) for cause in CAUSES}

    @property
    def cycles(self) -> float:
        """Cycles of the token."""
        return sum(self.causes.values())

    @property
    def words(self) -> float:
        """Memory words read."""
        return sum(step.cost.words for step in self.steps)


def predict(
    costs: Sequence[Cost],
    params: HwParams,
    latency: int = LATENCY,
    words_a_cycle: float = 1.0,
) -> Prediction:
    """Return when each instruction of a token is executed.

    Parameters
    ----------
    costs : sequence of Cost
        The token's instructions (`compiler.predict.costs.costs`).
    params : HwParams
        The hardware.
    latency : int
        Of the memory, in cycles.
    words_a_cycle : float
        What the memory delivers of what is read: at most 1, the port's.
    """
    found, now = Prediction(), 2.0 * latency + 36  # TOKEN: the program's start, the token's number
    _add(found, None, idle=now)
    for segment in _segments(costs):
        products = [c for c in segment if c.opcode in (Opcode.ENCODE, Opcode.MATMUL)]
        others = [c for c in segment if c not in products]
        chain, causes = _chain(found, products, now, latency, words_a_cycle)
        beside = _beside(found, others, now, latency, words_a_cycle)
        read = sum(cost.words for cost in segment) / words_a_cycle
        port = latency + read if products else 0.0
        drain = products[-1].last_words + latency + _STARTS if products else float(latency)
        body = max(chain, beside, port)
        if products:
            left = body - sum(causes.values())
            # Whoever else reads holds up the weights; a vector that takes longest is waited for.
            causes["vector" if beside > max(chain, port) else "stall"] += left
            # The encoder goes on firing until the first weights are there.
            fires = min(latency, products[0].row_words, causes["stall"])
            causes["encode"] += fires
            causes["stall"] -= fires
        else:
            stores = [cost for cost in others if cost.opcode is Opcode.STORE]
            keys = max((_key_cycles(cost) / cost.tokens for cost in stores), default=0.0)
            causes["vector"] = keys if stores else body  # the last head's; others are encoded then
            causes["encode"] = body - causes["vector"]
        _add(found, segment[0].layer, drain=drain, **causes)
        now += body + drain
    return found


def _segments(costs: Iterable[Cost]) -> Iterator[list[Cost]]:
    """Yield what lies between fences."""
    segment: list[Cost] = []
    for cost in costs:
        if cost.fence and segment:
            yield segment
            segment = []
        segment.append(cost)
    if segment:
        yield segment


def _chain(
    found: Prediction, products: list[Cost], start: float, latency: int, words_a_cycle: float
) -> tuple[float, dict[str, float]]:
    """Time the encoder and the array behind it; return how long they take, and for what."""
    causes: dict[str, float] = dict.fromkeys(("array", "stall", "encode", "vector"), 0.0)
    encoder = array = 0.0  # until when each is busy
    for cost in products:
        if cost.opcode is Opcode.ENCODE:
            takes = latency + cost.tokens * (cost.row_words + _THRESHOLD)
            found.steps.append(Timed(cost=cost, start=start + encoder, cycles=takes))
            encoder += takes
            causes["encode"] += max(0.0, encoder - array)
            array = max(array, encoder)
            encoder = array  # it fires when the counts before have been walked for the last time
        else:
            # The first weights are waited for; channel words come in that time.
            added = cost.steps + latency * (array == encoder)
            takes = max(cost.words / words_a_cycle, added)
            found.steps.append(Timed(cost=cost, start=start + array, cycles=takes))
            causes["array"] += min(cost.steps, takes)
            causes["stall"] += takes - min(cost.steps, takes)
            encoder, array = array, array + takes
    return array, causes


def _beside(
    found: Prediction, others: list[Cost], start: float, latency: int, words_a_cycle: float
) -> float:
    """Time the vector unit and the cache's writer, one after the other."""
    at = 0.0
    for cost in others:
        if cost.opcode is Opcode.STORE:
            takes = cost.tokens * (cost.row_words + _THRESHOLD) + _key_cycles(cost)
            takes += latency * (at == 0)
        else:
            of_row = {"norm": _NORM, "softmax": _SOFTMAX}.get(cost.name.rpartition(".")[2], 0)
            takes = latency + cost.words / words_a_cycle + cost.tokens * of_row + _STARTS
        found.steps.append(Timed(cost=cost, start=start + at, cycles=takes))
        at += takes
    return at


def _key_cycles(cost: Cost) -> float:
    """Return what a STORE takes to write keys, each a byte by itself."""
    return float(_KEY * cost.channels * cost.tokens * cost.name.endswith("key"))


def _add(found: Prediction, layer: int | None, **cycles: float) -> None:
    causes = found.layers.setdefault(layer, dict.fromkeys(CAUSES, 0.0))
    for cause, more in cycles.items():
        causes[cause] += more
