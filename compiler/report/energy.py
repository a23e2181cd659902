"""The joules of a plan's token, design by design, for its report."""

from compiler.energy.constants import constants
from compiler.energy.ledger import GROUPS, designs, joules, ledger
from compiler.predict.counts import count
from compiler.programs.plan import Plan

__all__ = ["energy"]

_NOTE = (
    "Energy of the token, predicted: what is counted times published constants, DRAM as {dram} at "
    "{picojoules:g} pJ a bit (docs/energy.md); weights, cache and vectors are DRAM. The dense "
    "arrays are a best case, their sums in registers; the others keep theirs in memory. Not "
    "counted, for any design: registers inside a processing element, the shifter of a spike array, "
    "clock, control, wires, leakage and refresh."
)


def energy(plan: Plan, dram: str) -> dict[str, object] | None:
    """Return each design's joules by group; None for weights that the ledger has no designs for."""
    widths = {matrix.weight_width for stage in plan.model.stages for matrix in stage.matrices}
    if len(widths) > 1 or not widths <= {8, 4}:
        return None
    found = []
    for design in designs(*widths):
        coding = design.coding or "csd"
        counts = count(plan.config, plan.products, plan.params, coding, plan.position)
        entries = ledger(design, counts, plan.params, dram)
        by_group = {group: joules(entries, [group]) for group in GROUPS}
        found.append({"name": design.name, "joules": by_group, "total": joules(entries)})
    note = _NOTE.format(
        dram=dram.removeprefix("dram_").upper(), picojoules=constants()[dram].typical
    )
    return {"groups": list(GROUPS), "designs": found, "note": note}
