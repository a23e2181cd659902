"""Whether an array and a memory suit each other: who waits for whom, before anything has run.

What the spikes will be is not known here. They are estimated as if magnitudes were exponentially
distributed, with the peak that so many channels have on average; trained activations mostly have
heavier tails, so fewer spikes. A dead zone is left out of it: what it silences depends on the data.
"""

from dataclasses import dataclass, fields

import torch

from compiler.artifact.program import Compiled
from golden.numerics.codings import encode, time_steps_for
from golden.numerics.neuron import Site
from hw.contract.params import HwParams

__all__ = ["Balance", "balance", "findings", "firing_steps"]

_CLIP_ONE = 256  # the multiplier of no clip
_IDLE = 0.5  # share of the time from which an array counts as idle


@dataclass(frozen=True, kw_only=True)
class Balance:
    """Matrices alike in all that counts here, and what one beat of a firing channel costs.

    Attributes
    ----------
    matrices : tuple of str
        Canonical names.
    memory_cycles : float
        For a beat to arrive: its share of a memory word, or the words it takes.
    array_cycles : float
        For the array to spend it: its steps, estimated (`firing_steps`).
    conditions : str
        What they rest on, for people.
    """

    matrices: tuple[str, ...]
    memory_cycles: float
    array_cycles: float
    conditions: str

    @property
    def finding(self) -> str | None:
        """What is out of balance as one sentence, or None."""
        alike = len(self.matrices) - 1
        names = f"{self.matrices[0]}{f' and {alike} alike' if alike else ''}"
        return f"{names}: {_told([self])}" if self.waits else None

    @property
    def waits(self) -> str | None:
        """Who waits too long for the other, "memory" or "array", or None."""
        share = self.array_cycles / self.memory_cycles
        return None if _IDLE <= share <= 1 else "memory" if share > 1 else "array"

    def as_dict(self) -> dict[str, object]:
        """Return everything as plain JSON values."""
        return {
            "matrices": list(self.matrices),
            "memory_cycles": self.memory_cycles,
            "array_cycles": round(self.array_cycles, 3),
            "finding": self.finding,
        }


def findings(entries: list[Balance]) -> list[str]:
    """Return what is out of balance, a sentence for all matrices of which it is the same.

    Those that differ in their layer only have one name, such as ``layers.*.q``, where the sentence
    is of all of them.
    """
    groups: dict[tuple, list[Balance]] = {}
    for entry in entries:
        if entry.waits:
            key = (entry.waits, entry.memory_cycles, entry.conditions)
            groups.setdefault(key, []).append(entry)
    all_names = [name for entry in entries for name in entry.matrices]
    return [
        f"{_kinds([name for entry in group for name in entry.matrices], all_names)}: {_told(group)}"
        for group in groups.values()
    ]


def _kinds(names: list[str], all_names: list[str]) -> str:
    """Return names of matrices, those of every layer as one."""
    shown: dict[str, list[str]] = {}
    for name in names:
        layer, _, kind = name.rpartition(".")
        of_kind = {other for other in all_names if other.rpartition(".")[2] == kind}
        layer = "layers.*" if len(of_kind) > 1 and of_kind <= {*names} else layer
        kinds = shown.setdefault(layer, [])
        if kind not in kinds:
            kinds.append(kind)
    return "; ".join(
        f"{layer}.{', '.join(k)}" if layer else ", ".join(k) for layer, k in shown.items()
    )


def _told(entries: list[Balance]) -> str:
    """Return who waits for whom, of entries that differ in the array's cycles only."""
    first = entries[0]
    cycles = [entry.array_cycles for entry in entries]
    least, most = (f"{of:.1f}" for of in (min(cycles), max(cycles)))
    cost = (
        f"a beat of weights takes memory {first.memory_cycles:.3g} and the array about "
        f"{least if least == most else f'{least} to {most}'} cycles ({first.conditions})"
    )
    if first.waits == "memory":
        return f"memory waits for the array: {cost}; choose more lanes or fewer steps"
    idle = 1 - max(cycles) / first.memory_cycles
    return (
        f"the array idles {'at least ' if least != most else ''}{idle:.0%} of the time: {cost}; "
        "choose fewer lanes or more tokens"
    )


def balance(compiled: Compiled, words_a_cycle: float = 1.0) -> list[Balance]:
    """Return the balance of a program's matrices, those alike together.

    `words_a_cycle` is what the memory delivers: at most 1.
    """
    params, coding = compiled.params, compiled.manifest["coding"]
    tokens = min(params.tokens, compiled.tokens)
    alike: dict[tuple[Site, int, int], list[str]] = {}
    site: Site | None = None
    for step in compiled.manifest["operations"]:
        if step["operation"] == "ENCODE":
            site = Site(**{field.name: step[field.name] for field in fields(Site)})
        else:
            assert site is not None  # every product follows an ENCODE
            key = (site, step["channels"], step["weight_width"])
            alike.setdefault(key, []).append(step["matrix"])
    return [
        Balance(
            matrices=tuple(names),
            memory_cycles=params.lanes * weight_width / params.axi_data_width / words_a_cycle,
            array_cycles=firing_steps(site, channels, params, coding, tokens),
            conditions=f"{weight_width}-bit weights, {'mac' if params.array == 'mac' else coding}, "
            f"{tokens} token{'s' * (tokens > 1)}",
        )
        for (site, channels, weight_width), names in alike.items()
    ]


def firing_steps(site: Site, channels: int, params: HwParams, coding: str, tokens: int) -> float:
    """Estimate how many steps the array makes for one beat of a channel that is fetched.

    A step is made where any of the tokens fires in it; tokens fire independently.

    Parameters
    ----------
    site : golden.numerics.neuron.Site
        How vectors are encoded.
    channels : int
        Elements of a vector.
    params : HwParams
        The hardware.
    coding : str
        How counts become spikes.
    tokens : int
        Vectors that share a fetched weight.
    """
    if params.array == "mac":
        return 1.0
    likely = _likely_counts(site, channels)  # (max_count + 1,)
    counts = torch.arange(site.max_count + 1)
    fires = encode(counts, coding, time_steps_for(site.max_count, coding)).ne(0)  # (steps, counts)
    step_fires = fires.double() @ likely
    steps = float((1 - (1 - step_fires) ** tokens).sum())
    silent = float(likely[0] ** tokens)
    if params.skip_silent:
        return steps / (1 - silent) if silent < 1 else 0.0
    return steps + silent  # a silent channel takes a step of its own


def _likely_counts(site: Site, channels: int) -> torch.Tensor:
    """Return how likely each magnitude of a count is, from 0 to max_count, in float64.

    The largest of K exponentially distributed magnitudes is, on average, the K-th harmonic number
    times their mean.
    """
    if site.rule == "mean":
        mean = site.divisor / channels  # in thresholds: kappa
    else:
        harmonic = float((1 / torch.arange(1, channels + 1, dtype=torch.float64)).sum())
        mean = site.divisor * _CLIP_ONE / (site.multiplier * harmonic)
    edges = torch.arange(site.max_count + 1, dtype=torch.float64) - 0.5
    reaches = torch.exp(-edges.clamp(min=0) / mean)  # at least so many spikes
    return reaches - torch.cat([reaches[1:], torch.zeros(1, dtype=torch.float64)])
