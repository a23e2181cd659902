"""The way through a program, by `isa.PSEUDOCODE`: what a controller must issue."""

from hw.contract.isa import Opcode, VectorOp, disassemble
from hw.contract.regs import Error

__all__ = ["walk"]

_LENGTHS = {Opcode.ENCODE: "channels", Opcode.MATMUL: "outputs", Opcode.VECTOR: "elements"}
_NOT_IN_LAYERS = (Opcode.TOKEN, Opcode.NEXT, Opcode.PREFILL, Opcode.LAYERS)
_BAD = Error.BAD_INSTRUCTION


def walk(
    slots,
    params,
    records=(),
    tokens=(),
    *,
    first_position=0,
    prompt_end=0,
    end_position=0,
    stop_token=0,
):
    """Return the error, the instructions issued as (opcode, fields), and the last position.

    Fields are taken to be in range, but for those that grow by the position.
    """
    position, token, at, issued = first_position, 0, 0, []
    begin = end = left = 0  # of the loop
    records_left = None  # no loop
    while True:
        if records_left is not None and at == end:
            left -= 1
            at = begin if left else at
            if not left and records_left:
                return _BAD, issued, position
            records_left = records_left if left else None
        if at == len(slots):
            return _BAD, issued, position
        slot, at = slots[at], at + 1
        if disassemble(slot)[1]["layered"]:
            if not records_left:
                return _BAD, issued, position
            slot = bytes(a ^ b for a, b in zip(slot, records_left.pop(0), strict=True))
        opcode, values = disassemble(slot)
        if opcode in _NOT_IN_LAYERS and records_left is not None:
            return _BAD, issued, position
        if opcode is Opcode.END:
            return Error.NONE, issued, position
        if opcode is Opcode.TOKEN:
            if position == end_position:
                return Error.NONE, issued, position
            token = tokens[position]
            if token >= values["vocabulary"]:
                return Error.BAD_TOKEN, issued, position
            if position >= prompt_end and token == stop_token:
                return Error.NONE, issued, position
        elif opcode is Opcode.NEXT:
            position += 1
            at -= 1 + values["slots"]
        elif opcode is Opcode.PREFILL:
            at += values["slots"] * (position + 1 < prompt_end)
        elif opcode is Opcode.LAYERS:
            begin, end, left = at, at + values["slots"], values["layers"]
            records_left = list(records[: values["record_count"]])
        else:
            if values["by_position"] and opcode in _LENGTHS:
                values[_LENGTHS[opcode]] += position
            if too_long(opcode, values, params):
                return _BAD, issued, position
            if opcode is Opcode.VECTOR:
                place(values, token, position)
            issued.append((opcode, values))


def too_long(opcode, values, params):
    """Return whether a length is beyond its range."""
    if opcode is Opcode.ENCODE:
        return values["channels"] > params.max_channels
    if opcode is Opcode.MATMUL:
        return values["outputs"] >= 1 << 24
    if opcode is Opcode.VECTOR:
        within_row = VectorOp(values["operation"]) in (VectorOp.NORM, VectorOp.SOFTMAX)
        return values["elements"] > (params.max_channels if within_row else (1 << 24) - 1)
    return False


def place(values, token, position):
    """Add to a VECTOR's addresses what the token and the position add."""
    values["a"] += values["a_by_token"] * token * values["stride"]
    values["b"] += values["b_by_position"] * position * values["stride"]
    if values["operation"] == VectorOp.ARGMAX.value:
        values["destination"] += 4 * (position + 1)
    for name in ("a", "b", "destination"):
        values[name] %= 1 << 40
