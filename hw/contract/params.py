"""The dimensions of one accelerator: choices are fields, consequences are properties."""

from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = [
    "CACHE_COUNT",
    "CACHE_WIDTH",
    "EXPONENT_WIDTH",
    "FRACTION_BITS",
    "GROUPS",
    "HwParams",
    "LARGEST_ZERO",
    "OUTPUT_EXPONENT",
    "OUTPUT_MANTISSA",
    "SCALE_WIDTHS",
    "SUM_WIDTH",
    "THRESHOLD_FRACTION_BITS",
    "THRESHOLD_GROUP",
    "VECTOR_WIDTH",
]

VECTOR_WIDTH = 32
"""Bits of a vector element (Q15.16)."""
FRACTION_BITS = 16
"""Fraction bits of a vector element."""
THRESHOLD_GROUP = 32
"""Channels that share a threshold, where a site has shifts."""
EXPONENT_WIDTH = 2
"""Bits of a channel's exponent in memory."""
GROUPS = (16, 32, 64, 128)
"""Input channels that may share a scale."""
SCALE_WIDTHS = (8, 16)
"""Bits of a group's d, and of its z or m."""
LARGEST_ZERO = 255
"""The largest magnitude of a group's z."""
SUM_WIDTH = 48
"""Bits of a signed sum over groups (numerics, section 5)."""
THRESHOLD_FRACTION_BITS = 24
"""Fraction bits of a threshold below one lsb of a vector element."""
CACHE_COUNT = 127
"""Largest code of a key or value: the largest spike count that STORE makes."""
CACHE_WIDTH = 8
"""Bits of such a code."""
OUTPUT_MANTISSA, OUTPUT_EXPONENT = 1 << 15, 27
"""Scale word of attention's outputs: 2^-12, by which SOFTMAX raised the probabilities."""


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class HwParams:
    """Parameters of one accelerator.

    Attributes
    ----------
    tokens : int
        Rows of the array: tokens that share each fetched weight.
    lanes : int
        Columns of the array: output channels of one beat.
    banks : int
        Beats of one output tile; ``lanes * banks`` accumulators a token.
    weight_widths : tuple of int
        Supported bits of a weight, of 8, 4 and 2.
    max_count : int
        Largest spike count of a channel (D).
    max_channels : int
        Largest number of input channels (K).
    axi_data_width, axi_addr_width : int
        Bits of the memory port's data and byte addresses.
    max_burst_words : int
        Longest AXI burst, in data words.
    fetch_depth : int
        Words of weights that may be under way or waiting.
    event_depth : int
        Events that may run ahead of the array.
    scan_width : int
        Channels that the event queue looks at in one cycle.
    array : str
        ``spike``: the array adds and subtracts spikes' weights. ``mac``: it multiplies counts and
        weights, the opponent to compare with; same interfaces, same results.
    skip_silent : bool
        Whether silent channels are skipped; False fetches every channel, to compare with.
    max_shift : int
        Largest shift of a channel: its spikes weigh up to 2^max_shift.
    grouped : bool
        Whether weights may have scales of their own for every group of input channels.

    Raises
    ------
    ValueError
        Naming the first field out of its range.
    """

    tokens: int
    lanes: int
    banks: int
    weight_widths: tuple[int, ...] = (8, 4, 2)
    max_count: int = 127
    max_channels: int
    axi_data_width: int
    axi_addr_width: int = 40
    max_burst_words: int
    fetch_depth: int
    event_depth: int
    scan_width: int
    array: str = "spike"
    skip_silent: bool = True
    max_shift: int = 3
    grouped: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (isinstance(value, bool) or not isinstance(value, int)):
                raise ValueError(f"{field.name} must be a whole number, not {value!r}")
            if field.type is bool and not isinstance(value, bool):
                raise ValueError(f"{field.name} must be true or false, not {value!r}")
        for name, low, high in (
            ("tokens", 1, 64),
            ("max_count", 1, 127),
            ("max_shift", 0, 6),
            ("axi_addr_width", 16, 40),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be {low} to {high}, not {value}")
        for name, low, high in (
            ("lanes", 4, 256),
            ("banks", 1, 256),
            ("max_channels", 64, 1 << 15),
            ("axi_data_width", 64, 256),
            ("max_burst_words", 4, 256),
            ("fetch_depth", 16, 4096),
            ("event_depth", 4, 512),
            ("scan_width", 16, 128),
        ):
            value = getattr(self, name)
            if not _is_power_of_two(value) or not low <= value <= high:
                raise ValueError(f"{name} must be a power of two from {low} to {high}, not {value}")
        if self.array not in ("spike", "mac"):
            raise ValueError(f"array must be spike or mac, not {self.array!r}")
        widths = self.weight_widths
        if not widths or not set(widths) <= {8, 4, 2} or len(set(widths)) != len(widths):
            raise ValueError(f"weight_widths must be distinct values of 8, 4, 2, not {widths}")
        if self.lanes < self.encode_lanes:
            raise ValueError(
                f"lanes must be at least axi_data_width / 32 = {self.encode_lanes}, "
                f"not {self.lanes}"
            )
        if self.tile_outputs * min(widths) < self.axi_data_width:
            raise ValueError(
                f"lanes * banks must be at least axi_data_width / {min(widths)} = "
                f"{self.axi_data_width // min(widths)}, not {self.tile_outputs}"
            )
        if self.max_burst_words * self.axi_bytes > 4096:
            raise ValueError(
                f"max_burst_words must be at most {4096 // self.axi_bytes} "
                f"(4 KiB), not {self.max_burst_words}"
            )
        if self.fetch_depth < 2 * self.max_burst_words:
            raise ValueError(
                f"fetch_depth must be at least 2 x max_burst_words = {2 * self.max_burst_words}, "
                f"not {self.fetch_depth}"
            )

    @property
    def axi_bytes(self) -> int:
        """Bytes of one memory word."""
        return self.axi_data_width // 8

    @property
    def encode_lanes(self) -> int:
        """Channels that the encoder takes in one cycle: a memory word of vector elements."""
        return self.axi_data_width // VECTOR_WIDTH

    @property
    def tile_outputs(self) -> int:
        """Output channels of one full tile."""
        return self.lanes * self.banks

    @property
    def beat_depth(self) -> int:
        """Beats that may wait for the array: 16 full row segments, or 512 beats.

        A beat of several words comes less often than the array can take one. With those of slow
        events' rows at hand, what many spikes cost is made up for by the events with few, and by
        the time in which scales of a group come and no beats. Block RAMs as wide as a beat have at
        least so many words. A queue of fewer than 3 hands on every second cycle only.
        """
        return max(4, min(16 * self.banks, 512))

    @property
    def count_width(self) -> int:
        """Bits of a signed spike count."""
        return self.max_count.bit_length() + 1

    @property
    def spike_width(self) -> int:
        """Bits of a signed spike count times the weight of its spikes."""
        return self.count_width + self.max_shift

    @property
    def step_width(self) -> int:
        """Digits of a spike train in the positional codings (csd needs one more than bitwise)."""
        return self.max_count.bit_length() + self.max_shift + 1

    @property
    def acc_width(self) -> int:
        """Bits of an accumulator: signed, holds the largest sum of spikes times 8-bit codes."""
        return (self.max_count * 128 * self.max_channels << self.max_shift).bit_length() + 1

    @property
    def sum_width(self) -> int:
        """Bits of what is requantized: of an accumulator, or of a sum over groups."""
        return max(self.acc_width, SUM_WIDTH) if self.grouped else self.acc_width

    @property
    def spike_sum_width(self) -> int:
        """Bits of the signed sum of a group's spike counts times their weights."""
        return (self.max_count * GROUPS[-1] << self.max_shift).bit_length() + 1

    @property
    def scale_depth(self) -> int:
        """Memory words of the scales of one group, at most: of a full tile."""
        return self.scale_words(self.tile_outputs, 2 * SCALE_WIDTHS[-1])

    @property
    def threshold_width(self) -> int:
        """Bits of a threshold: a 32-bit magnitude with its extra fraction bits."""
        return VECTOR_WIDTH + THRESHOLD_FRACTION_BITS

    def tiles(self, outputs: int) -> list[int]:
        """Output channels of each tile of a matrix of `outputs` channels."""
        full, tail = divmod(outputs, self.tile_outputs)
        return [self.tile_outputs] * full + [tail] * (tail > 0)

    def row_words(self, tile_outputs: int, weight_width: int) -> int:
        """Memory words of one row segment: whole beats, and whole words."""
        beats = -(-tile_outputs // self.lanes)
        return -(-beats * self.lanes * weight_width // self.axi_data_width)

    def row_beats(self, tile_outputs: int, weight_width: int) -> int:
        """Beats of `lanes` weights in one row segment, those of its padding included."""
        words = self.row_words(tile_outputs, weight_width)
        return words * self.axi_data_width // (self.lanes * weight_width)

    def row_bytes(self, tile_outputs: int, weight_width: int) -> int:
        """Bytes of one row segment in memory."""
        return self.row_words(tile_outputs, weight_width) * self.axi_bytes

    def scale_words(self, tile_outputs: int, bits: int) -> int:
        """Memory words of one group's scales: so many bits for each output of a tile."""
        return -(-tile_outputs * bits // self.axi_data_width)

    def exponent_bytes(self, channels: int) -> int:
        """Bytes of the stored exponents of a site's channels, padded to whole memory words."""
        return -(-channels * EXPONENT_WIDTH // self.axi_data_width) * self.axi_bytes

    def vector_bytes(self, elements: int) -> int:
        """Bytes of a stored vector of Q15.16 elements, padded to whole memory words."""
        return -(-elements * VECTOR_WIDTH // self.axi_data_width) * self.axi_bytes

    def as_dict(self) -> dict[str, object]:
        """Return the choices as plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, choices: dict[str, object]) -> "HwParams":
        """Rebuild from `as_dict`'s result; a field missing or unknown raises ValueError."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in choices.items()
        }
        try:
            return cls(**fields)
        except TypeError as error:
            raise ValueError(f"hardware parameters are not of this version: {error}") from None
