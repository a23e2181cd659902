"""Pass 6, emit: weight files and program, with their checksums.

No more of a model is in memory than a tile of a matrix for each thread. A job is a region of
constants, or a matrix with its channel words; the journal has an entry for each that is done.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from compiler.passes.constants import row_order
from compiler.passes.lower import Matrix
from compiler.passes.place import Region
from compiler.passes.program import Image
from compiler.passes.quantize import Scales, Source
from compiler.passes.tile import pack_channel_words, pack_groups, pack_scales, pack_tile, tile
from compiler.storage import parallel
from compiler.storage.checksums import Checksums, chunks
from compiler.storage.directory import PROGRAM, shard_name, write_file
from compiler.storage.journal import Entries
from hw.contract.params import HwParams

__all__ = ["SHARD_BYTES", "Contents", "Shards", "emit", "emit_program"]

SHARD_BYTES = 1 << 28
"""A shard takes no further region once it is this long."""

Contents = dict[str, object]
"""Of a region: the ``file`` and ``offset`` where its contents lie, ``sha256`` and ``crc32``."""


class Shards:
    """The weight files of a directory. Each region has its place from the start.

    Parameters
    ----------
    directory : Path
        Where they are written.
    regions : iterable of Region
        Those with contents, in the order in which they lie in the files.
    shard_bytes : int
        Length from which on the next region starts a new file.

    Attributes
    ----------
    contents : dict of str to Contents
        By region that is written.
    """

    def __init__(
        self, directory: Path, regions: Iterable[Region], shard_bytes: int = SHARD_BYTES
    ) -> None:
        self._directory = directory
        self._places: dict[str, tuple[str, int]] = {}
        self.contents: dict[str, Contents] = {}
        index = length = 0
        for region in regions:
            if length >= shard_bytes:
                index, length = index + 1, 0
            self._places[region.name] = shard_name(index), length
            length += region.bytes

    def write(self, region: Region, parts: Iterable[np.ndarray]) -> None:
        """Write a region's contents, which are as long as the region; any thread may."""
        name, offset = self._places[region.name]
        path, at = self._directory / name, offset
        checksums = Checksums()
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            for part in parts:
                raw = np.ascontiguousarray(part).view(np.uint8).reshape(-1).data
                checksums.update(raw)
                while raw:
                    written = os.pwrite(file, raw, at)
                    raw, at = raw[written:], at + written
        except OSError as error:
            if error.filename is not None:  # of what is read
                raise
            raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            os.close(file)
        if at != offset + region.bytes:
            raise RuntimeError(f"{region.name} has {at - offset} bytes, not {region.bytes}")
        self.contents[region.name] = {"file": name, "offset": offset, **checksums.entry()}

    def reuse(self, region: Region, contents: Contents) -> bool:
        """Take a region as an earlier process wrote it, if it is what `contents` says."""
        name, offset = self._places[region.name]
        checksums = Checksums()
        try:
            for chunk in chunks(self._directory / name, offset, region.bytes):
                checksums.update(chunk)
        except FileNotFoundError:
            return False
        if contents != {"file": name, "offset": offset, **checksums.entry()}:
            return False
        self.contents[region.name] = contents
        return True


def emit(
    image: Image,
    directory: Path,
    fingerprint: str,
    source: Callable[[Matrix], Source],
    *,
    constants: Mapping[str, Iterable[np.ndarray]] | None = None,
    journal: Entries | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> tuple[dict[str, Contents], list[str | None]]:
    """Write weight files and program, but for what the journal says is there already.

    Parameters
    ----------
    image : Image
        What is written.
    directory : Path
        Where.
    fingerprint : str
        Of the hardware, in hex.
    source : callable
        Returns where a matrix's contents come from; asked for one after the other, in the order of
        their use.
    constants : mapping of str to iterable of ndarray, optional
        The contents of the regions of constants, part by part.
    journal : Entries, optional
        Of a build that may be interrupted.
    progress : callable
        Told the name of each constant and matrix when it is written.

    Returns
    -------
    contents : dict of str to Contents
        By region.
    digests : list of str or None
        Of the matrices' sources.
    """
    regions, shards = image.regions, Shards(directory, image.filled())
    digests: dict[str, str | None] = {}

    def job(name: str, names: list[str], make: Callable[[], str | None]) -> str:
        earlier = journal.entries.get(name) if journal else None
        if earlier and all(shards.reuse(regions[n], earlier["contents"][n]) for n in names):
            digests[name] = earlier["digest"]
            return name
        digests[name] = make()
        if journal:
            written = {n: shards.contents[n] for n in names}
            journal.add(name, digest=digests[name], contents=written)
        return name

    jobs = [
        partial(job, name, [name], partial(shards.write, regions[name], parts))
        for name, parts in (constants or {}).items()
    ]
    matrices = [matrix for stage in image.stages for matrix in stage.matrices]
    for matrix in matrices:
        names = [f"{matrix.name}.weights", f"{matrix.name}.channel_words"]
        make = partial(
            _write_matrix,
            matrix,
            source(matrix),
            None if image.model is None else row_order(matrix, image.model),
            image.params,
            shards,
            *(regions[name] for name in names),
        )
        jobs.append(partial(job, matrix.name, names, make))
    parallel.run(jobs, progress)
    if image.program.records:
        shards.write(regions["records"], [np.frombuffer(image.program.records, np.uint8)])
    program = emit_program(image, directory, fingerprint)
    return {"program": program, **shards.contents}, [digests[matrix.name] for matrix in matrices]


def emit_program(image: Image, directory: Path, fingerprint: str) -> Contents:
    """Write the program alone; returns where its contents lie."""
    raw = image.program.binary(fingerprint)
    write_file(directory / PROGRAM, raw)
    checksums = Checksums()
    checksums.update(raw)
    return {"file": PROGRAM, "offset": 0, **checksums.entry()}


def _write_matrix(
    matrix: Matrix,
    source: Source,
    order: np.ndarray | None,
    params: HwParams,
    shards: Shards,
    weights: Region,
    channel_words: Region,
) -> str | None:
    """Write a matrix's row segments and channel words; returns its source's digest."""
    shards.write(weights, _segments(matrix, source, order, params))
    scales = source.scales()
    if order is not None:
        bias = None if scales.bias is None else scales.bias[order]
        scales = Scales(scales.mantissa[order], scales.exponent[order], bias)
    shards.write(channel_words, [pack_channel_words(*scales, params).astype("<u4")])
    return source.digest()


def _segments(
    matrix: Matrix, source: Source, order: np.ndarray | None, params: HwParams
) -> Iterator[np.ndarray]:
    """Yield the row segments of each tile."""
    # In another order, a tile's rows may come from anywhere.
    codes = None if order is None else source.codes_of(0, matrix.outputs)[order]
    for part in tile(matrix, params):
        end = part.first + part.outputs
        rows = source.codes_of(part.first, end) if codes is None else codes[part.first : end]
        segments = pack_tile(rows, matrix.weight_width, part.row_bytes)
        if matrix.groups is not None:
            if order is None:
                d, offsets = source.groups_of(part.first, end)
            else:
                d, offsets = source.groups_of(0, matrix.outputs)
                d = d[order[part.first : end]]
                offsets = None if offsets is None else offsets[order[part.first : end]]
            scales = pack_scales(d, offsets, matrix.groups.width, part.scale_bytes)
            segments = pack_groups(segments, scales, matrix.groups.size)
        yield segments
