"""The joules of a plan's token, design by design, and which design takes least."""

from collections import Counter
from collections.abc import Mapping, Sequence

from compiler.energy.constants import constants
from compiler.energy.ledger import GROUPS, designs, joules, ledger
from compiler.predict.activity import CODING
from compiler.predict.counts import count
from compiler.predict.workload import usual_width
from compiler.programs.plan import Plan
from compiler.report import style

__all__ = ["energy", "verdict"]

_ALIKE = 0.005
_NOTE = (
    "Energy of the token, predicted: what is counted times published constants, DRAM as {dram} at "
    "{picojoules:g} pJ a bit (docs/energy.md); weights, cache and vectors are DRAM. The dense "
    "arrays are a best case, their sums in registers; the others keep theirs in memory. Not "
    "counted, for any design: registers inside a processing element, the shifter of a spike array, "
    "clock, control, wires, leakage and refresh."
)


def energy(plan: Plan, dram: str) -> dict[str, object] | None:
    """Return each design's joules by group; None for weights that the ledger has no designs for.

    `dram` is the constant of the memory (`compiler.energy.constants`).
    """
    widths = {matrix.weight_width for stage in plan.model.stages for matrix in stage.matrices}
    width = usual_width(plan.config, plan.recipe, plan.grids)
    if not widths <= {8, 4}:
        return None
    own, found = "", []
    for design in designs(width):
        counts = count(
            plan.config, plan.products, plan.params, design.coding or CODING, plan.position
        )
        entries = ledger(design, counts, plan.params, dram)
        by_group = {group: joules(entries, [group]) for group in GROUPS}
        found.append(
            {
                "name": design.name,
                "weight_width": design.weight_width,
                "joules": by_group,
                "total": joules(entries),
            }
        )
        spikes = plan.params.array == "spike" and design.coding == _coding(plan)
        if spikes or (plan.params.array == "mac" and design.operations == "multiplications"):
            own = own or design.name
    note = _NOTE.format(
        dram=dram.removeprefix("dram_").upper(), picojoules=constants()[dram].typical
    )
    if len(widths) > 1:
        note += f" Weights of this build have 4 and 8 bits, {width} in most matrices."
    return {
        "groups": list(GROUPS),
        "designs": found,
        "own": own,
        "verdict": verdict(found, own),
        "note": note,
    }


def _coding(plan: Plan) -> str:
    """Return the coding of most of a plan's sites."""
    if isinstance(plan.coding, str):
        return plan.coding
    return Counter(plan.coding.values()).most_common(1)[0][0]


def verdict(found: Sequence[Mapping], own: str, whose: str = "this build's") -> str:
    """Say which design takes least, and how one's own stands against it and its equals.

    Parameters
    ----------
    found : sequence of mapping
        The designs: ``name``, ``weight_width``, ``total`` in joules.
    own : str
        The name of one's own.
    whose : str
        What stands before that name: ``the`` where there is no build.
    """
    ours = f"{whose} {own}"
    by_total = sorted(found, key=lambda design: design["total"])
    (mine,) = (design for design in found if design["name"] == own)
    best, takes = by_total[0], style.joules(mine["total"])
    if best is mine:
        second = by_total[1]
        return (
            f"{_capital(ours)} takes least: {takes} a token. Next is {second['name']}, with "
            f"{style.joules(second['total'])}, {_against(second, mine)} it."
        )
    said = (
        f"{_capital(best['name'])} takes least: {style.joules(best['total'])} a token, "
        f"{_against(best, mine)} {ours} ({takes})."
    )
    others = [design for design in by_total if not design["name"].startswith("spike")]
    equal = next((other for other in others if other["weight_width"] == mine["weight_width"]), mine)
    if equal is best or equal is mine:
        return said
    return (
        f"{said} Of the others with weights of {mine['weight_width']} bits as well, "
        f"{equal['name']} takes least: {style.joules(equal['total'])}, {_against(equal, mine)} "
        f"{ours if whose == 'the' else whose}."
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _against(one: Mapping, other: Mapping) -> str:
    """Return how many percent more or less than another a design takes."""
    ratio = one["total"] / other["total"]
    if abs(ratio - 1) < _ALIKE:
        return "within half a percent of"
    return f"{style.percent(abs(ratio - 1))} {'more' if ratio > 1 else 'less'} than"
