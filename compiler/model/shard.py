"""What of a model one of several devices holds: whole output channels, inputs always complete.

A sum over input channels is never cut in two and every device sees a vector's largest element, so
thresholds, counts and sums are those of one device, to the bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from compiler.lower import Matrix, Stage
from golden.config import ModelConfig
from hw.params import HwParams

__all__ = ["Shard", "rows_of", "shards", "sharded_stage", "whole"]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A device's share of the output channels.

    Attributes
    ----------
    device, devices : int
        Which device it is, of how many.
    kv_heads : range
        Key heads, with the query heads that share them.
    hidden : range
        Channels of the residual stream: columns of the embedding, rows of o and down.
    ffn : range
        Channels between gate/up and down.
    vocabulary : range
        Rows of the output head.
    """

    device: int
    devices: int
    kv_heads: range
    hidden: range
    ffn: range
    vocabulary: range

    def parts(self, config: ModelConfig) -> dict[str, range]:
        """Return which elements of the vectors that are exchanged a device makes, by region."""
        heads = rows_of("q", config, self)
        return {
            "x": self.hidden,
            "attention": heads,
            "between": self.hidden,
            "act": self.ffn,
            "logits": self.vocabulary,
        }

    def as_dict(self, config: ModelConfig) -> dict[str, object]:
        """Return it for the manifest: of each run of channels the first, and how many."""
        runs = {"kv_heads": self.kv_heads, **self.parts(config)}
        return {
            "device": self.device,
            "devices": self.devices,
            **{name: [run.start, len(run)] for name, run in runs.items()},
        }


def whole(config: ModelConfig) -> Shard:
    """Return the share of a device that is alone."""
    return Shard(
        device=0,
        devices=1,
        kv_heads=range(config.kv_heads),
        hidden=range(config.hidden_size),
        ffn=range(config.ffn_size),
        vocabulary=range(config.vocab_size),
    )


def shards(config: ModelConfig, params: HwParams, devices: int) -> list[Shard]:
    """Return each device's share, in the order of the channels and as even as they come.

    Key heads stay whole; vectors are cut between memory words, which results are written in.

    Raises
    ------
    ValueError
        Where a device would be left without work.
    """
    if devices < 1:
        raise ValueError(f"devices must be at least 1, not {devices}")
    word = params.encode_lanes
    cuts = {
        "kv_heads": ("key heads, which stay whole", config.kv_heads, 1),
        "hidden": (f"memory words of the residual stream ({word} elements each)",
                   config.hidden_size, word),
        "ffn": (f"memory words of the channels of down ({word} elements each)",
                config.ffn_size, word),
        "vocabulary": (f"memory words of the logits ({word} elements each)",
                       config.vocab_size, word),
    }  # fmt: skip
    parts: dict[str, list[range]] = {}
    for name, (pieces, length, unit) in cuts.items():
        count = -(-length // unit)
        if devices > count:
            raise ValueError(
                f"devices must be at most {count}, not {devices}: {config.name} has {count} "
                f"{pieces}"
            )
        parts[name] = [*_split(length, unit, devices)]
    return [
        Shard(device=device, devices=devices, **{name: parts[name][device] for name in parts})
        for device in range(devices)
    ]


def _split(length: int, unit: int, devices: int) -> Iterator[range]:
    """Yield `devices` runs of channels, cut at multiples of `unit`."""
    units = -(-length // unit)
    ends = [min(length, units * device // devices * unit) for device in range(devices + 1)]
    for first, end in zip(ends, ends[1:], strict=False):
        yield range(first, end)


def rows_of(matrix: str, config: ModelConfig, shard: Shard) -> range:
    """Return the output channels of a matrix, by its canonical name, that are a device's own."""
    kind, heads = matrix.rpartition(".")[2], shard.kv_heads
    if kind in ("q", "k", "v"):
        group = config.heads // config.kv_heads if kind == "q" else 1
        rows = group * config.head_dim
        return range(heads.start * rows, heads.stop * rows)
    return {
        "o": shard.hidden,
        "down": shard.hidden,
        "gate": shard.ffn,
        "up": shard.ffn,
        "lm_head": shard.vocabulary,
    }[kind]


def sharded_stage(stage: Stage, config: ModelConfig, shard: Shard) -> Stage:
    """Return a stage with a device's own output channels only."""

    def part(matrix: Matrix) -> Matrix:
        rows = rows_of(matrix.name, config, shard)
        return replace(matrix, first_row=rows.start, outputs=len(rows))

    return replace(stage, matrices=tuple(part(matrix) for matrix in stage.matrices))
