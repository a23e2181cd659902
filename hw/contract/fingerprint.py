"""The fingerprint that ties a program to the hardware it was compiled for."""

import hashlib
import json

from hw.contract import isa, regs
from hw.contract.params import HwParams

__all__ = ["fingerprint"]


def _layout(layout) -> list:
    return [[name, field.offset, field.width] for name, field in layout]


def fingerprint(params: HwParams) -> str:
    """Return the SHA-256, in hex, over parameters, instructions and registers."""
    contract = {
        "params": params.as_dict(),
        "isa": {
            "header": _layout(isa.HEADER),
            "instructions": {
                op.name: [op.value, _layout(isa.INSTRUCTIONS[op])] for op in isa.Opcode
            },
            "enums": {
                e.__name__: {m.name: m.value for m in e}
                for e in (isa.Rule, isa.Coding, isa.VectorOp, isa.Cache)
            },
            "scale": _layout(isa.SCALE),
            "channel_words": [isa.CHANNEL_WORDS[False], isa.CHANNEL_WORDS[True]],
        },
        "regs": {r.name: [r.offset, r.access] for r in regs.REGISTERS.values()},
        "errors": {e.name: e.value for e in regs.Error},
        "faults": {e.name: e.value for e in regs.FaultKind},
    }
    text = json.dumps(contract, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
