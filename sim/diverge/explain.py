"""Says where a difference is: in the model, in the program, in memory, and in the hardware."""

from typing import Any

import torch

from compiler.artifact.listing import line
from compiler.artifact.program import Compiled
from golden.checkpoint.config import ModelConfig
from golden.numerics.codings import encode, time_steps_for
from golden.numerics.neuron import MAX_COUNT
from hw.contract.isa import Opcode
from sim.diverge.golden import channels_at, kind_of
from sim.diverge.locate import Difference

__all__ = ["explain"]

_BY_HEAD = (
    "scores", "w", "attention", "q_norm", "k_norm", "q_rotated", "k_rotated", "query.counts",
    "probabilities.counts", "key", "key_scales", "value", "value_scales",
)  # fmt: skip


def explain(compiled: Compiled, found: Difference) -> dict[str, Any]:
    """Return a difference for a report; what does not apply is None."""
    step, piece, params = found.step, found.piece, compiled.params
    row, element = piece.first_row + found.row, found.element
    address = None
    if piece.kind != "counts":
        address = piece.address + found.row * piece.row_stride + element * piece.element_stride
    region = None if address is None else compiled.region_at(address)
    whole = compiled.is_model
    by_head = whole and kind_of(piece.tensor) in _BY_HEAD
    tile = beat = word = None
    if step.opcode is Opcode.MATMUL:
        tile, rest = divmod(element, params.tile_outputs)
        beat, lane = divmod(rest, params.lanes)
    else:
        word, lane = divmod(element, params.encode_lanes)
    return {
        "instruction": step.number,
        "slot": step.slot,
        "opcode": step.opcode.name,
        "listing": line(compiled, step.opcode, step.fields),
        "position": step.position if whole else None,
        "token": step.token if whole else row,
        "layer": step.layer,
        "tensor": piece.tensor,
        "kind": piece.kind,
        "region": region.name if region else None,
        "address": address,
        "head": row if by_head else None,
        "row": found.row,
        "element": element,
        "channel": _channel(compiled, found, by_head),
        "tile": tile,
        "beat": beat,
        "word": word,
        "lane": lane,
        **_steps(compiled, found),
        "a": _value(found.a, piece.kind),
        "b": _value(found.b, piece.kind),
        "differing": found.differing,
        "elements": found.compared,
    }


def _channel(compiled: Compiled, found: Difference, by_head: bool) -> int:
    """Return the element's channel as the checkpoint has it, in its row."""
    element, tensor = found.element, found.piece.tensor
    if not compiled.is_model:
        for step in compiled.manifest["operations"]:
            if step.get("matrix") == tensor:
                return step["first_row"] + element
        return element
    if kind_of(tensor) in ("scores", "w", "probabilities.counts"):
        return element  # a position
    first = (found.piece.first_row + found.row) * found.piece.elements if by_head else 0
    config = ModelConfig(**compiled.manifest["model"] | {"rope_scaling": None})  # not needed here
    places = channels_at(tensor, first + found.piece.elements, config)
    return int(places[first + element]) - first


def _steps(compiled: Compiled, found: Difference) -> dict[str, Any]:
    """Return, of spike counts, both trains and the first time step in which they differ."""
    nothing = {"coding": None, "time_step": None, "trains": None}
    if found.piece.kind != "counts" or found.a is None or found.b is None:
        return nothing
    own = compiled.manifest.get("schedule", {}).get("codings", {})
    coding = own.get(found.piece.tensor.removesuffix(".counts"), compiled.manifest["coding"])
    both = [found.a, found.b]
    fields = found.step.fields
    shift = fields.get("shifts", 0) + fields.get("largest_exponent", 0)  # STORE has neither
    if max(map(abs, both)) > MAX_COUNT << shift:  # of a faulty device: no train is worth that much
        return nothing | {"coding": coding}
    largest = -(-max(map(abs, both)) >> shift)  # of a count whose spikes weigh 2^shift
    time_steps = time_steps_for(max(fields["max_count"], largest), coding, shift)
    counts = torch.tensor(both)[:, None]
    trains = encode(counts, coding, time_steps)[..., 0].T.tolist()  # (2, time_steps)
    first = next(t for t, (a, b) in enumerate(zip(*trains, strict=True)) if a != b)
    return {"coding": coding, "time_step": first, "trains": trains}


def _value(value: int | None, kind: str) -> dict[str, Any] | None:
    if value is None:
        return None
    digits = 2 if kind in ("counts", "codes") else 8
    shown = {"value": value, "hex": f"{value & (1 << 4 * digits) - 1:#0{digits + 2}x}"}
    return shown | ({"real": value / 65536} if kind == "vector" else {})
