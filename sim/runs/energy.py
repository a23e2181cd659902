"""What a run took: spikes a value, seconds at a clock, and joules by the ledger."""

from collections.abc import Mapping

from compiler.artifact.program import Compiled
from compiler.energy.ledger import GROUPS, joules, ledger, own_design
from compiler.predict.counts import Counts
from sim.runs.tally import Tally

__all__ = ["effort"]

_DRAM = "dram_ddr4"
_DRAM_GROUPS = ("weights", "cache", "vectors")
_COUNTED_BY_BOTH = ("events", "silent_channels", "synaptic_operations", "weight_bytes_read")


def effort(
    compiled: Compiled,
    counters: Mapping[str, int | None],
    tally: Tally | None,
    tallied: Mapping[str, int | None],
    clock_mhz: float,
) -> dict[str, object]:
    """Return what a report says of a run's spikes, time and energy.

    Parameters
    ----------
    compiled : Compiled
        What ran.
    counters : mapping of str to int or None
        As the device has them.
    tally : Tally or None
        Of an observed device that ran the same; None where there was none.
    tallied : mapping of str to int or None
        The counters of that device. Unless they are the device's, spikes and joules are None: they
        would be of another run.
    clock_mhz : float
        That the hardware is taken to have.

    Returns
    -------
    dict
        JSON values: ``spikes`` by coding, ``silent_share``, ``clock_mhz``, ``clock_seconds``,
        ``joules``, ``memory_joules``, and ``energy`` by the ledger's groups.
    """
    cycles, silent, events = (counters[n] for n in ("cycles", "silent_channels", "events"))
    same = all(counters[name] == tallied.get(name) for name in _COUNTED_BY_BOTH)
    seen = tally if same else None
    share = None
    if silent is not None and events is not None and silent + events:
        share = round(silent / (silent + events), 6)
    return {
        "values_encoded": seen.values if seen else None,
        "spikes": _spikes(seen) if seen else None,
        "silent_share": share,
        "clock_mhz": clock_mhz,
        "clock_seconds": None if cycles is None else cycles / (clock_mhz * 1e6),
        **_energy(compiled, counters, seen),
    }


def _spikes(tally: Tally) -> dict[str, dict[str, float]]:
    return {
        coding: {
            "spikes": number,
            "spikes_per_value": round(number / tally.values, 6) if tally.values else 0.0,
            "time_steps": tally.time_steps[coding],
        }
        for coding, number in tally.spikes.items()
    }


def _energy(
    compiled: Compiled, counters: Mapping[str, int | None], tally: Tally | None
) -> dict[str, object]:
    nothing: dict[str, object] = {"joules": None, "memory_joules": None, "energy": None}
    design = (
        None
        if tally is None
        else own_design(compiled.params, compiled.manifest["coding"], tally.weight_widths)
    )
    operations, fetched = counters["synaptic_operations"], counters["weight_bytes_read"]
    written = counters["dram_bytes_written"]
    if tally is None or design is None or operations is None or fetched is None or written is None:
        return nothing
    counted = counters["dram_bytes_read"]
    read = tally.read_bytes if counted is None else counted
    counts = Counts(
        additions=operations,
        multiplications=operations,
        beats=tally.beats,
        weight_bytes=fetched - tally.cache_bytes,
        cache_bytes=tally.cache_bytes,
        program_bytes=read + written - fetched,  # vectors, channel words and the program
        encoded=tally.encoded,
        vector_multiplications=tally.multiplications,
        scaled=tally.scaled,
    )
    entries = ledger(design, counts, compiled.params, _DRAM)
    return {
        "joules": joules(entries),
        "memory_joules": joules(entries, _DRAM_GROUPS),
        "energy": {
            "groups": {group: joules(entries, [group]) for group in GROUPS},
            "dram": _DRAM,
            "dram_bytes": read + written,
            "dram_bytes_are": "counted by the device"
            if counted is not None
            else "those of the instructions executed: this device does not see the program fetched",
        },
    }
