"""A token's schedule as a trace for Perfetto (Chrome's Trace Event Format, JSON object form)."""

from compiler.programs.plan import Plan
from hw.contract.isa import Opcode

__all__ = ["UNITS", "trace", "unit_of"]

UNITS = ("encoder", "array", "vector unit", "cache writer")
"""What executes instructions, in the order of their tracks."""

_UNIT = {
    Opcode.ENCODE: "encoder",
    Opcode.MATMUL: "array",
    Opcode.VECTOR: "vector unit",
    Opcode.STORE: "cache writer",
}


def unit_of(opcode: Opcode) -> str:
    """Return which of `UNITS` executes an instruction."""
    return _UNIT[opcode]


def trace(plan: Plan) -> dict[str, object]:
    """Return the predicted schedule of the plan's token: a complete event an instruction.

    A cycle is shown as a microsecond.
    """
    process = {"pid": 1}
    events: list[dict[str, object]] = [
        {
            "ph": "M",
            "name": "process_name",
            **process,
            "args": {"name": f"{plan.config.name}, token at position {plan.position:,}"},
        }
    ]
    for number, unit in enumerate(UNITS, 1):
        events.append(
            {"ph": "M", "name": "thread_name", **process, "tid": number, "args": {"name": unit}}
        )
    for step in plan.prediction.steps:
        cost = step.cost
        events.append(
            {
                "ph": "X",
                "name": cost.name,
                "cat": cost.opcode.name,
                **process,
                "tid": UNITS.index(unit_of(cost.opcode)) + 1,
                "ts": round(step.start, 1),
                "dur": round(step.cycles, 1),
                "args": {
                    "slot": cost.slot,
                    "layer": cost.layer,
                    "channels": cost.channels,
                    "memory_words": round(cost.words),
                    "weight_words": round(cost.weight_words),
                    "array_steps": round(cost.steps),
                    "fence": cost.fence,
                },
            }
        )
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "unit": "a microsecond stands for a cycle",
            "source": "predicted by compiler.predict.cycles",
            "model": plan.config.name,
            "position": str(plan.position),
        },
    }
