"""Whole models for the tests of their programs, and what an instruction of one touches."""

from compiler.passes.model import WholeModel, lower
from hw.contract import isa
from hw.contract.isa import Opcode, VectorOp
from hw.contract.presets import preset
from tests.compiler.models import RandomCheckpoint, recipe

PARAMS = preset("test")


def whole(params=PARAMS, recipe_=None, context=40, **changes) -> WholeModel:
    """Return a random model, lowered."""
    config = RandomCheckpoint(0, **changes).config
    return lower(config, recipe_ or recipe(), params, context)


def region_at(regions, address) -> str:
    """Return the name of the region that an address lies in."""
    return next(
        region.name
        for region in regions.values()
        if region.address <= address < region.address + max(1, region.bytes)
    )


class Ranges:
    """What an instruction reads and writes at a position: (first byte, bytes)."""

    def __init__(self, opcode, fields, params, position, channels, tokens):
        f, p = fields, params
        self.opcode, self.fence = opcode, f["fence"]
        self.reads, self.writes = [], []
        self.channels, self.tokens = channels, tokens
        grown = position * f["by_position"]
        if opcode is Opcode.ENCODE:
            self.channels, self.tokens = f["channels"] + grown, f["tokens"]
            for m in range(self.tokens):
                self.reads.append((f["source"] + m * f["source_stride"], 4 * self.channels))
        elif opcode is Opcode.MATMUL:
            outputs = f["outputs"] + grown
            tiles = p.tiles(outputs)
            full = p.row_bytes(p.tile_outputs, f["weight_width"])
            rows = [p.row_bytes(size, f["weight_width"]) for size in tiles]
            strides = [full] * len(tiles) if f["strided"] else rows
            # The last row of a ragged tile ends with its own segment.
            length = channels * sum(strides) - strides[-1] + rows[-1]
            self.reads.append((f["weights"], length))
            words = sum(p.vector_bytes(size) for size in tiles)
            self.reads.append((f["channel_words"], (1 + f["has_bias"]) * words))
            for m in range(tokens):
                self.writes.append((f["destination"] + m * f["destination_stride"], 4 * outputs))
        elif opcode is Opcode.VECTOR:
            elements = f["elements"] + grown
            unary = f["operation"] in (VectorOp.COPY.value, VectorOp.ARGMAX.value)
            for r in range(f["rows"]):
                at = r * f["stride"]
                self.reads.append((f["a"] + at, 4 * elements))
                if not unary:
                    b = f["b"] + f["b_by_position"] * position * f["stride"]
                    self.reads.append((b + (0 if f["b_same"] else at), 4 * elements))
                if f["operation"] == VectorOp.ARGMAX.value:
                    self.writes.append((f["destination"] + 4 * (position + 1), 4))
                else:
                    self.writes.append((f["destination"] + at, 4 * elements))
        elif opcode is Opcode.STORE:
            for h in range(f["heads"]):
                self.reads.append((f["source"] + h * f["source_stride"], 4 * f["channels"]))
                self.writes.append((f["scales"] + h * f["scales_stride"] + 4 * position, 4))
                base = f["codes"] + h * f["codes_stride"]
                tile, column = divmod(position, p.tile_outputs)
                if f["cache"] == isa.Cache.VALUE.value:
                    row = p.row_bytes(f["channels"], 8)
                    self.writes.append((base + position * row, f["channels"]))
                else:
                    base += tile * f["channels"] * p.tile_outputs + column
                    for d in range(f["channels"]):
                        self.writes.append((base + d * p.tile_outputs, 1))


def executed_ranges(model, params, program, regions, position):
    """Return the ranges of a token's instructions, layer after layer."""
    found, channels, tokens = [], 0, 0
    for _, step in program.executed:
        fields = dict.fromkeys(isa.MODIFIERS, 0) | step.fields
        found.append(Ranges(step.opcode, fields, params, position, channels, tokens))
        channels, tokens = found[-1].channels, found[-1].tokens
    return found
