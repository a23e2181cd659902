"""Joules of a token: what is counted, times published constants, as a ledger.

Not counted, for any design: clock, control, wires, leakage and refresh; the registers inside a
processing element; the shifter in front of a spike array. A spike array and a MAC array keep their
sums in memory, load and store them once for each beat of a channel (`hw.matmul.array`), as wide as
all rows of the array; with one bank they would stay in registers, which is a design of its own
here. The dense designs are a best case: their sums stay in registers, but for the one that says
so. Where weights have groups, so have those of dense INT4, and each group's sums are scaled and
added up, in memory in every design.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from compiler.energy.constants import Constant, constants
from compiler.predict.activity import CODINGS
from compiler.predict.counts import SCALER_MULTIPLICATIONS, Counts
from hw.contract.params import SUM_WIDTH, HwParams

__all__ = ["GROUPS", "Design", "Entry", "designs", "joules", "ledger", "own_design", "spike_design"]

GROUPS = ("arithmetic", "accumulators", "buffers", "vector unit", "weights", "cache", "vectors")
"""Parts of a ledger; the last three are DRAM."""

_ENCODER_STAGES = 8  # comparisons and subtractions of an element
_ELEMENT_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Design:
    """What computes the matrix products.

    Attributes
    ----------
    name : str
        For people.
    operations : str
        The field of `Counts` that says how often it works.
    arithmetic : tuple of str
        Constants of one such operation.
    weight_width, cache_width, vector_width : int
        Bits in DRAM of a weight, of a code of the cache, of a vector's element.
    coding : str or None
        Of the spikes.
    skips : bool
        Whether silent channels are not fetched: Spikeloom's dataflow.
    sums_in_memory : bool
        Whether sums are loaded and stored for each weight they take.
    groups : bool
        Whether the weights may have groups.
    """

    name: str
    operations: str
    arithmetic: tuple[str, ...]
    weight_width: int
    cache_width: int = 8
    vector_width: int = _ELEMENT_BITS
    coding: str | None = None
    skips: bool = False
    sums_in_memory: bool = False
    groups: bool = False


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a ledger.

    Attributes
    ----------
    group : str
        One of `GROUPS`.
    what : str
        What is counted.
    count : float
        How often, for a token.
    constant : Constant
        Of one.
    """

    group: str
    what: str
    count: float
    constant: Constant

    def joules(self, level: str = "typical") -> float:
        """Return the energy with the constant's ``typical``, ``low`` or ``high`` value."""
        return self.count * getattr(self.constant, level) * 1e-12

    def as_dict(self) -> dict[str, object]:
        """Return everything as plain JSON values."""
        return {
            "group": self.group,
            "what": self.what,
            "count": self.count,
            "unit": self.constant.unit,
            "constant": self.constant.name,
            "picojoules": self.constant.typical,
            "source": self.constant.source,
            "estimate": self.constant.estimate,
            "joules": self.joules(),
        }


def designs(weight_width: int) -> list[Design]:
    """Return the spike array in each coding, the MAC array of the same weights, and dense arrays.

    Parameters
    ----------
    weight_width : int
        Bits of a weight of the first two kinds: 8 or 4.
    """
    multiply = {8: "int8_multiply", 4: "int8x4_multiply"}.get(weight_width)
    if multiply is None:
        raise ValueError(f"weights must have 8 or 4 bits for the ledger, not {weight_width}")
    spikes = [
        Design(
            name=f"spike array, {coding}",
            operations="additions",
            arithmetic=("int32_add",),
            weight_width=weight_width,
            coding=coding,
            skips=True,
            sums_in_memory=True,
            groups=True,
        )
        for coding in CODINGS
    ]
    mac = Design(
        name="MAC array, silent channels skipped",
        operations="multiplications",
        arithmetic=(multiply, "int32_add"),
        weight_width=weight_width,
        skips=True,
        sums_in_memory=True,
        groups=True,
    )
    registers = replace(spikes[-1], name=f"{spikes[-1].name}, in registers")
    registers = replace(registers, sums_in_memory=False)
    dense = [
        Design(
            name=name,
            operations="macs",
            arithmetic=arithmetic,
            weight_width=width,
            cache_width=max(8, width),
            vector_width=16,
            groups=width == 4,
        )
        for name, width, arithmetic in (
            ("dense INT8", 8, ("int8_multiply", "int32_add")),
            ("dense INT4", 4, ("int4_multiply", "int32_add")),
            ("dense FP16", 16, ("fp16_mac",)),
        )
    ]
    int4 = next(design for design in dense if design.weight_width == 4)
    in_memory = replace(int4, name=f"{int4.name}, in memory", sums_in_memory=True)
    return [*spikes, mac, *dense, registers, in_memory]


def spike_design(coding: str) -> Design:
    """Return the spike array in a coding: it adds, whatever the bits of the weights."""
    return next(design for design in designs(8) if design.coding == coding)


def own_design(params: HwParams, coding: str, widths: set[int]) -> Design | None:
    """Return the design of some hardware; None for a MAC array of weights without a constant."""
    if params.array == "spike":
        return spike_design(coding)
    if len(widths) != 1 or not widths <= {8, 4}:
        return None
    return next(d for d in designs(*widths) if d.skips and d.operations == "multiplications")


def ledger(
    design: Design, counts: Counts, params: HwParams, dram: str = "dram_ddr4", rows: int = 0
) -> list[Entry]:
    """Return what a token takes in a design.

    Parameters
    ----------
    design : Design
        What computes.
    counts : Counts
        Of the token, in the design's coding.
    params : HwParams
        Dimensions of the array whose sums are in memory.
    dram : str
        Constant of the memory.
    rows : int
        Tokens that pass the array together where that is more than it has rows.
    """
    known = constants()
    entries = []

    def add(group: str, what: str, number: float, constant: str) -> None:
        if number:
            entry = Entry(group=group, what=what, count=number, constant=known[constant])
            entries.append(entry)

    for name in design.arithmetic:
        add("arithmetic", design.operations, getattr(counts, design.operations), name)
    if design.sums_in_memory:
        row = max(params.tokens, rows) * params.lanes * params.acc_width
        sums = counts.beats * row if design.skips else counts.macs * params.acc_width
        add("accumulators", "bits loaded and stored", 2 * sums, "sram")
    scaled = counts.scaled if design.skips else counts.group_outputs * design.groups
    add("accumulators", "bits of sums over groups", 2 * scaled * SUM_WIDTH, "sram")
    if design.skips:
        fetched, cache = counts.weight_bytes, counts.cache_bytes
        encoder = 2 * counts.encoded * _ELEMENT_BITS
        add("vector unit", "encoder's subtractions", _ENCODER_STAGES * counts.encoded, "int32_add")
    else:
        fetched = counts.weight_elements * design.weight_width / 8
        fetched += counts.scale_bits * design.groups / 8
        cache = counts.cache_elements * design.cache_width / 8
        encoder = 0.0
    buffered = 2 * 8 * (fetched + cache) + encoder
    add("buffers", "bits of weights, codes, vectors in and out", buffered, "sram")
    multiplications = counts.vector_multiplications + SCALER_MULTIPLICATIONS * scaled
    add("vector unit", "multiplications", multiplications, "int32_multiply")
    add("weights", "bits", 8 * (fetched + counts.word_bytes), dram)
    stored = counts.store_bytes * design.cache_width / 8
    add("cache", "bits", 8 * (cache + stored), dram)
    elements = counts.read_elements + counts.written_elements
    vectors = elements * design.vector_width + 8 * counts.program_bytes
    add("vectors", "bits, and the program's", vectors, dram)
    return entries


def joules(
    entries: Iterable[Entry],
    groups: Iterable[str] = GROUPS,
    levels: dict[str, str] | None = None,
) -> float:
    """Add up some groups of a ledger; `levels` gives low or high by the constant's first part."""
    chosen = set(groups)
    return sum(
        entry.joules((levels or {}).get(entry.constant.name.partition("_")[0], "typical"))
        for entry in entries
        if entry.group in chosen
    )
