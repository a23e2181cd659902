"""A program as it is executed, instruction by instruction: what each makes, and where it lies."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.isa import Cache, Opcode, VectorOp
from hw.contract.params import HwParams
from sim.functional.machine import Observation

__all__ = ["Piece", "Step", "Stepper"]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A tensor, or rows of one, that an instruction makes.

    Attributes
    ----------
    tensor : str
        Its name (`golden.model.integer.IntegerModel`).
    kind : str
        ``counts`` in the spike buffer, or in memory ``vector`` (Q15.16), ``codes``, ``scales`` and
        ``token``.
    first_row, rows, elements : int
        Its extent; the first row is a head, or a token of a batch.
    address, row_stride, element_stride : int
        Where it lies in memory; 0 for counts.
    """

    tensor: str
    kind: str
    first_row: int = 0
    rows: int
    elements: int
    address: int = 0
    row_stride: int = 0
    element_stride: int = 4

    @property
    def element_bytes(self) -> int:
        """Bytes of an element."""
        return 1 if self.kind in ("counts", "codes") else 4

    @property
    def signed(self) -> bool:
        """Whether its elements are."""
        return self.kind not in ("scales", "token")

    def byte_addresses(self) -> np.ndarray:
        """Return the address of each byte, (rows, elements, element_bytes)."""
        rows = np.arange(self.rows)[:, None, None] * self.row_stride
        elements = np.arange(self.elements)[:, None] * self.element_stride
        return self.address + rows + elements + np.arange(self.element_bytes)

    def values(self, raw: np.ndarray) -> np.ndarray:
        """Return bytes of that shape as elements, (rows, elements) in int64."""
        kind = f"<{'i' if self.signed else 'u'}{self.element_bytes}"
        return np.ascontiguousarray(raw).view(kind)[..., 0].astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One instruction as it was executed.

    Attributes
    ----------
    number, slot : int
        Its place among all that are executed, and in the program.
    opcode : Opcode
        Of it.
    fields : mapping of str to int
        As they took effect.
    position, token : int
        That were being worked on.
    layer : int or None
        Of LAYERS.
    batch : int
        ENCODEs up to it.
    pieces : tuple of Piece
        What it makes.
    """

    number: int
    slot: int
    opcode: Opcode
    fields: Mapping[str, int]
    position: int
    token: int
    layer: int | None
    batch: int
    pieces: tuple[Piece, ...]


class Stepper:
    """Turns what the functional device observes into steps."""

    def __init__(self, compiled: Compiled) -> None:
        self._params: HwParams = compiled.params
        self._compiled = compiled
        self._compiled.tensor(0)  # refuses a directory without names before anything runs
        self._loop: tuple[int, int] | None = None
        self._layer: int | None = None
        self._number = self._batch = 0

    def __call__(self, seen: Observation) -> Step:
        """Return the step of the next instruction."""
        if seen.opcode is Opcode.LAYERS:
            self._loop = seen.index + 1, seen.index + 1 + seen.fields["slots"]
            self._layer = None
        elif self._loop and self._loop[0] <= seen.index < self._loop[1]:
            if seen.index == self._loop[0]:
                self._layer = 0 if self._layer is None else self._layer + 1
        else:
            self._loop = self._layer = None
        self._batch += seen.opcode is Opcode.ENCODE
        step = Step(
            number=self._number,
            slot=seen.index,
            opcode=seen.opcode,
            fields=dict(seen.fields),
            position=seen.position,
            token=seen.token,
            layer=self._layer,
            batch=self._batch,
            pieces=self._pieces(seen),
        )
        self._number += 1
        return step

    def _pieces(self, seen: Observation) -> tuple[Piece, ...]:
        fields = seen.fields
        tensor, first = self._compiled.tensor(seen.index, self._layer)
        if seen.opcode is Opcode.ENCODE:
            rows, elements = seen.counts.shape
            return (
                Piece(tensor=tensor, kind="counts", first_row=first, rows=rows, elements=elements),
            )
        if seen.opcode is Opcode.MATMUL:
            piece = Piece(
                tensor=tensor,
                kind="vector",
                first_row=first,
                rows=len(seen.counts),
                elements=fields["outputs"],
                address=fields["destination"],
                row_stride=fields["destination_stride"],
            )
            return (piece,)
        if seen.opcode is Opcode.VECTOR:
            ends = fields["operation"] == VectorOp.ARGMAX.value
            piece = Piece(
                tensor=tensor,
                kind="token" if ends else "vector",
                first_row=first,
                rows=fields["rows"],
                elements=1 if ends else fields["elements"],
                address=fields["destination"] + ends * 4 * (seen.position + 1),
                row_stride=fields["stride"],
            )
            return (piece,)
        if seen.opcode is Opcode.STORE:
            return self._stored(tensor, first, fields, seen.position)
        return ()

    def _stored(
        self, tensor: str, first: int, fields: Mapping[str, int], position: int
    ) -> tuple[Piece, ...]:
        p, channels = self._params, fields["channels"]
        codes, stride = fields["codes"], 1
        if fields["cache"] == Cache.VALUE.value:
            codes += position * p.row_bytes(channels, 8)
        else:
            tile, column = divmod(position, p.tile_outputs)
            codes, stride = codes + tile * channels * p.tile_outputs + column, p.tile_outputs
        return (
            Piece(
                tensor=f"{tensor}_scales",
                kind="scales",
                first_row=first,
                rows=fields["heads"],
                elements=1,
                address=fields["scales"] + 4 * position,
                row_stride=fields["scales_stride"],
            ),
            Piece(
                tensor=tensor,
                kind="codes",
                first_row=first,
                rows=fields["heads"],
                elements=channels,
                address=codes,
                row_stride=fields["codes_stride"],
                element_stride=stride,
            ),
        )
