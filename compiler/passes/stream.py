"""Pass 6, emit: a whole model's contents, region by region and block of rows by block of rows.

No more of a model is in memory than a tile of a matrix for each thread. A job is a region of
constants, or a matrix with its channel words; the journal has an entry for each that is done.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from compiler.artifact.origin import PartDigest, row_blocks
from compiler.passes.emit import Shards, contents_of
from compiler.passes.lower import Matrix
from compiler.passes.place import Region
from compiler.passes.tile import pack_channel_words, pack_tile, tile
from compiler.programs.emit import constants, row_order
from compiler.programs.lower import WholeModel
from compiler.storage import parallel
from compiler.storage.journal import Journal
from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.names import bias_of
from golden.numerics.fixed import to_fixed
from golden.numerics.weights import quantize_rows
from hw.contract.params import HwParams

__all__ = ["emit", "with_contents"]


def with_contents(model: WholeModel, regions: dict[str, Region]) -> list[Region]:
    """Return the regions that shards hold, in their order there."""
    of_constants = [region for region in regions.values() if region.kind == "constants"]
    records = [regions["records"]] if "records" in regions else []
    return [*of_constants, *contents_of(model.stages, regions), *records]


def emit(
    model: WholeModel,
    checkpoint: Checkpoint,
    origin: Checkpoint,
    regions: dict[str, Region],
    params: HwParams,
    shards: Shards,
    journal: Journal,
    progress: Callable[[str], None],
) -> list[str]:
    """Write constants and matrices into the shards, but for what the journal has already.

    `origin` is the checkpoint before its fold. Returns the matrices' digests
    (`compiler.artifact.origin`).
    """
    digests: dict[str, str] = {}

    def job(name: str, names: list[str], make: Callable[[], str | None]) -> str:
        earlier = journal.entries.get(name)
        if earlier and all(shards.reuse(regions[n], earlier["contents"][n]) for n in names):
            digest = earlier["digest"]
        else:
            digest = make()
            written = {n: shards.contents[n] for n in names}
            journal.add(name, digest=digest, contents=written)
        if digest is not None:
            digests[name] = digest
        return name

    jobs = [
        partial(job, name, [name], partial(shards.write, regions[name], chunks))
        for name, chunks in constants(model, checkpoint, params).items()
    ]
    matrices = [matrix for stage in model.stages for matrix in stage.matrices]
    for matrix in matrices:
        names = [f"{matrix.name}.weights", f"{matrix.name}.channel_words"]
        rows = row_order(matrix.name, model)
        if rows is not None:
            own = slice(matrix.first_row, matrix.first_row + matrix.outputs)
            rows = rows[own] - matrix.first_row  # of several devices: whole heads, which stay
        source = _Source(matrix, checkpoint, origin, rows)

        def make(source: _Source = source, names: list[str] = names) -> str:
            shards.write(regions[names[0]], source.segments(params))
            shards.write(regions[names[1]], [source.channel_words(params)])
            return source.digest.hexdigest()

        jobs.append(partial(job, matrix.name, names, make))
    parallel.run(jobs, progress)
    return [digests[matrix.name] for matrix in matrices]


class _Source:
    """A matrix on its way from the checkpoint: each of its rows is read once, in order."""

    def __init__(
        self,
        matrix: Matrix,
        checkpoint: Checkpoint,
        origin: Checkpoint,
        order: np.ndarray | None,
    ) -> None:
        self._matrix, self._checkpoint, self._origin = matrix, checkpoint, origin
        self._order = order
        self._mantissa = np.empty(matrix.outputs, np.int32)
        self._exponent = np.empty(matrix.outputs, np.int32)
        self.digest = PartDigest(matrix.name, matrix.first_row, matrix.outputs)

    def segments(self, params: HwParams) -> Iterator[np.ndarray]:
        """Yield the row segments of each tile."""
        width, tiles = self._matrix.weight_width, tile(self._matrix, params)
        if self._order is None:
            for part in tiles:
                codes = self._codes(part.first, part.first + part.outputs)
                yield pack_tile(codes, width, part.row_bytes)
            return
        codes = self._codes(0, self._matrix.outputs)  # a tile's rows may come from anywhere
        for part in tiles:
            rows = self._order[part.first : part.first + part.outputs]
            yield pack_tile(codes[rows], width, part.row_bytes)

    def channel_words(self, params: HwParams) -> np.ndarray:
        """Return the channel words, once all segments are made."""
        bias = None
        if name := bias_of(self._matrix.name, self._checkpoint.config):
            first, end = self._matrix.first_row, self._matrix.first_row + self._matrix.outputs
            values = self._checkpoint.rows(name, first, end)
            same = self._origin is self._checkpoint
            self.digest.update(values if same else self._origin.rows(name, first, end))
            bias = to_fixed(values).numpy()
        parts = (self._mantissa, self._exponent, bias)
        if self._order is not None:
            parts = (None if part is None else part[self._order] for part in parts)
        return pack_channel_words(*parts, params).astype("<u4")

    def _codes(self, first: int, end: int) -> np.ndarray:
        """Read and quantize rows, by their numbers among those compiled: int8, (rows, K)."""
        name, channels = self._matrix.name, self._matrix.channels
        before = self._matrix.first_row
        codes = np.empty((end - first, channels), np.int8)
        for start, stop in row_blocks(first, end, channels):
            of_model = before + start, before + stop
            rows = self._checkpoint.rows(name, *of_model)
            same = self._origin is self._checkpoint
            self.digest.update(rows if same else self._origin.rows(name, *of_model))
            path = getattr(self._origin, "path", None)  # synthetic ones have none
            block = quantize_rows(name, rows, self._matrix.weight_width, before + start, path)
            codes[start - first : stop - first] = block.codes.numpy()
            self._mantissa[start:stop] = block.mantissa.numpy()
            self._exponent[start:stop] = block.exponent.numpy()
        return codes
