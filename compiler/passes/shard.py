"""What of a model one of several devices holds: whole output channels, inputs always complete.

A sum over input channels is never cut in two and every device sees a vector's largest element, so
thresholds, counts and sums are those of one device, to the bit.
"""

from dataclasses import dataclass, replace

from compiler.passes.lower import Matrix, Stage
from golden.checkpoint.config import ModelConfig
from hw.contract.params import HwParams

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

    Key heads stay whole. Channels are cut between beats, which row segments are whole numbers of,
    or where there are too few between memory words, which results are written in.

    Raises
    ------
    ValueError
        Where a device would be left without work.
    """
    if devices < 1:
        raise ValueError(f"devices must be at least 1, not {devices}")
    if devices > config.kv_heads:
        raise ValueError(
            f"devices must be at most {config.kv_heads}, not {devices}: {config.name} has "
            f"{config.kv_heads} key heads, which stay whole"
        )
    channels = {
        "residual stream": config.hidden_size,
        "input of down": config.ffn_size,
        "vocabulary": config.vocab_size,
    }
    hidden, ffn, vocabulary = (
        _channels(f"{config.name}'s {name}", length, params, devices)
        for name, length in channels.items()
    )
    # The devices that have a key head more have no more of the channels.
    ends = [config.kv_heads * device // devices for device in range(devices + 1)]
    return [
        Shard(
            device=device,
            devices=devices,
            kv_heads=range(ends[device], ends[device + 1]),
            hidden=hidden[device],
            ffn=ffn[device],
            vocabulary=vocabulary[device],
        )
        for device in range(devices)
    ]


def _channels(what: str, length: int, params: HwParams, devices: int) -> list[range]:
    """Cut channels into a run for each device; the first ones are the longer."""
    unit = params.lanes if devices <= -(-length // params.lanes) else params.encode_lanes
    units = -(-length // unit)
    if devices > units:
        raise ValueError(
            f"devices must be at most {units}, not {devices}: {what} has {units} memory words"
        )
    ends = [min(length, -(-units * device // devices) * unit) for device in range(devices + 1)]
    return [range(first, end) for first, end in zip(ends, ends[1:], strict=False)]


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
