"""The figure of a layer's schedule: which unit executes what, and when."""

from matplotlib.figure import Figure

from compiler.programs.plan import Plan
from compiler.report.style import COLOURS, INK, family_of
from compiler.report.svg import svg
from compiler.report.trace import UNITS, unit_of
from hw.contract.isa import Opcode

__all__ = ["timeline"]

_BATCHES = 3  # of heads, in the picture of attention
_COLOUR_OF_UNIT = {"encoder": "encode", "vector unit": "vector", "cache writer": "cache"}
_NARROW = 0.004  # of the width
_DARK = ("head", "feed-forward", "vector")


def timeline(plan: Plan, layer: int, attention: bool = False) -> str:
    """Draw when the instructions of a layer are executed, unit by unit.

    With `attention` only from the first STORE to the end of the third batch of heads.
    """
    steps = [step for step in plan.prediction.steps if step.cost.layer == layer]
    begin = min(step.start for step in steps)
    if attention:
        values = [at for at, step in enumerate(steps) if step.cost.name.endswith(".values")]
        first = next(at for at, step in enumerate(steps) if step.cost.opcode is Opcode.STORE)
        steps = steps[first : values[:_BATCHES][-1] + 1]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        end = max(step.start + step.cycles for step in steps) - min(s.start for s in steps)
        for step in steps:
            name, unit = step.cost.name.rpartition(".")[2], unit_of(step.cost.opcode)
            colour = _COLOUR_OF_UNIT.get(unit) or family_of(name)
            row, start = len(UNITS) - 1 - UNITS.index(unit), step.start - begin
            wide = step.cycles > _NARROW * end  # an edge would hide others
            axes.broken_barh([(start, step.cycles)], (row - 0.38, 0.76),
                             facecolor=COLOURS[colour], linewidth=0.5,
                             edgecolor="white" if wide else COLOURS[colour])  # fmt: skip
            if step.cycles > (0.05 if attention else 0.025) * end:
                axes.annotate(name.replace("_", " "), (start + step.cycles / 2, row),
                              ha="center", va="center", fontsize=8,
                              color="white" if colour in _DARK else INK)  # fmt: skip
        axes.set_yticks(range(len(UNITS)), UNITS[::-1])
        axes.set_xlabel(f"cycles from the start of layer {layer}")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        axes.margins(x=0.005)

    return svg(draw, 8.6, 2.2)
