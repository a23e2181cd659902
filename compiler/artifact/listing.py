"""A compiled program for people: a line an instruction, addresses as regions."""

from collections.abc import Mapping

from compiler.artifact.memory_map import MemoryMap
from compiler.artifact.program import Compiled
from hw.contract import isa

__all__ = ["line", "listing"]

_ADDRESS_WIDTH = isa.INSTRUCTIONS[isa.Opcode.MATMUL]["destination"].width
_ENUMS = {
    "rule": isa.Rule,
    "coding": isa.Coding,
    "operation": isa.VectorOp,
    "cache": isa.Cache,
}


def listing(compiled: Compiled) -> str:
    """Return a program, after a line of what it is."""
    lines = [f"# {compiled.directory.name}: {', '.join(compiled.manifest['layers'])}"]
    for index, (opcode, fields) in enumerate(compiled.instructions()):
        lines.append(f"{index:4} {line(compiled, opcode, fields)}")
    return "\n".join(lines)


def line(memory_map: MemoryMap, opcode: isa.Opcode, fields: Mapping[str, int]) -> str:
    """Return one instruction, as in the listing."""
    shown = []
    for name, value in fields.items():
        if name in isa.MODIFIERS:
            shown += [name] * value
        elif isa.INSTRUCTIONS[opcode][name].width == _ADDRESS_WIDTH:
            shown.append(f"{name}={memory_map.place_of(value)}")
        elif name in _ENUMS:
            shown.append(f"{name}={_ENUMS[name](value).name.lower()}")
        else:
            shown.append(f"{name}={value}")
    return f"{opcode.name:7} {' '.join(shown)}".rstrip()
