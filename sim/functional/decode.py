"""The checks that every instruction passes before it is executed, as the hardware makes them."""

from hw.contract import isa
from hw.contract.isa import Opcode, VectorOp
from hw.contract.params import CACHE_COUNT, GROUPS, SCALE_WIDTHS, HwParams
from hw.contract.regs import Error
from sim.functional.image import Fault

__all__ = ["decode"]

_LENGTHS = {Opcode.ENCODE: "channels", Opcode.MATMUL: "outputs", Opcode.VECTOR: "elements"}
"""The field that `by_position` adds to."""

_POSITION_END = 1 << isa.POSITION_WIDTH

# Fields that must be whole memory words.
_ALIGNED = {
    Opcode.ENCODE: ("source", "source_stride", "exponents"),
    Opcode.MATMUL: ("weights", "channel_words", "destination", "destination_stride"),
    Opcode.VECTOR: ("a", "b", "destination", "stride"),
    Opcode.STORE: (
        "source", "source_stride", "codes", "codes_stride", "scales", "scales_stride",
    ),
    Opcode.TOKEN: ("tokens",),
    Opcode.LAYERS: ("records",),
}  # fmt: skip


def decode(slot: bytes, params: HwParams, position: int) -> tuple[Opcode, dict[str, int]]:
    """Return an instruction and its own fields, what the position adds included.

    Parameters
    ----------
    slot : bytes
        As it is executed: with its record, if it is layered.
    params : HwParams
        The hardware.
    position : int
        That is being worked on.

    Raises
    ------
    Fault
        Where the opcode is unknown or a field is out of its range.
    """
    try:
        opcode, fields = isa.disassemble(slot)
    except ValueError:
        raise Fault(Error.BAD_INSTRUCTION) from None
    modifiers = {name: fields.pop(name) for name in isa.MODIFIERS}
    choices, limits = _bounds(opcode, fields, params)
    if modifiers["by_position"] and opcode in _LENGTHS:
        fields[_LENGTHS[opcode]] += position
    legal = all(fields[name] in values for name, values in choices.items())
    legal &= all(1 <= fields[name] <= last for name, last in limits.items())
    legal &= all(fields[name] % params.axi_bytes == 0 for name in _ALIGNED.get(opcode, ()))
    if opcode is Opcode.VECTOR:
        legal &= fields["operation"] != VectorOp.ROTATE.value or fields["elements"] % 2 == 0
        legal &= not fields["b_by_position"] or position < _POSITION_END
    elif opcode is Opcode.ENCODE:
        legal &= not fields["shifts"] or fields["rule"] != isa.Rule.MEAN.value
        legal &= fields["shifts"] + fields["largest_exponent"] <= params.max_shift
    elif opcode is Opcode.STORE:
        legal &= params.max_count == CACHE_COUNT and position < _POSITION_END
    if not legal:
        raise Fault(Error.BAD_INSTRUCTION)
    return opcode, fields


def _bounds(
    opcode: Opcode, fields: dict[str, int], params: HwParams
) -> tuple[dict[str, set[int]], dict[str, int]]:
    """Return fields that must be one of a few values, and those from 1 to a largest value."""
    largest = {name: (1 << field.width) - 1 for name, field in isa.INSTRUCTIONS[opcode]}
    if opcode is Opcode.ENCODE:
        return {"rule": {rule.value for rule in isa.Rule}}, {
            "tokens": params.tokens,
            "channels": params.max_channels,
            "max_count": params.max_count,
            "divisor": largest["divisor"],
        }
    if opcode is Opcode.MATMUL:
        return {
            "coding": {coding.value for coding in isa.Coding},
            "weight_width": set(params.weight_widths),
            "group": set(range(len(GROUPS) + 1 if params.grouped else 1)),
            "scale_width_log2": {width.bit_length() - 1 for width in SCALE_WIDTHS},
            "offsets": {offsets.value for offsets in isa.Offsets},
        }, {"outputs": largest["outputs"]}
    if opcode is Opcode.VECTOR:
        limits = {"rows": largest["rows"], "elements": largest["elements"]}
        if fields["operation"] == VectorOp.NORM.value:
            limits |= {"elements": params.max_channels, "constant": largest["constant"]}
        elif fields["operation"] == VectorOp.SOFTMAX.value:
            limits["elements"] = params.max_channels
            limits["constant"] = (1 << isa.STEEPNESS_WIDTH) - 1
        return {"operation": {operation.value for operation in VectorOp}}, limits
    if opcode is Opcode.STORE:
        channels = min(params.tile_outputs, params.max_channels)
        return {}, {"heads": largest["heads"], "channels": channels}
    if opcode is Opcode.LAYERS:
        return {}, {"layers": largest["layers"], "slots": largest["slots"]}
    return {}, {}
