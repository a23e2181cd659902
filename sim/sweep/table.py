"""Rows of a sweep: their schema, the log that an interrupted sweep goes on from, and Parquet."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from compiler.boards.area import CELLS
from hw.contract.regs import COUNTERS
from sim.sweep.grid import AXES

__all__ = ["SCHEMA", "Log", "key", "replace_whole", "write_parquet"]

_TEXT, _COUNT, _REAL = pa.string(), pa.int64(), pa.float64()
_KINDS = {"array": _TEXT, "coding": _TEXT, "recipe": _TEXT}
_KINDS |= dict.fromkeys(("skip_silent", "grouped"), pa.bool_())

SCHEMA = pa.schema(
    [
        pa.field("status", _TEXT, nullable=False),
        pa.field("reason", _TEXT),
        *(pa.field(name, _KINDS.get(name, _COUNT), nullable=False) for name in AXES),
        pa.field("prompt_tokens", _COUNT, nullable=False),
        *(pa.field(name, _COUNT, metadata={"doc": doc}) for name, doc in COUNTERS.items()),
        pa.field("cycles_per_token", _REAL),
        pa.field("fpga_family", _TEXT),
        *(pa.field(cell, _REAL) for cell in CELLS),
        pa.field("all_luts", _REAL),
        pa.field("area_is_extrapolated", pa.bool_()),
        pa.field("joules_per_token", _REAL),
        pa.field("on_chip_joules_per_token", _REAL),
        pa.field("dram_joules_per_token", _REAL),
        pa.field("memory_words_per_cycle", _REAL),
        pa.field("misfit", _TEXT),
        pa.field("tokens_per_second", _REAL),
        pa.field("key", _TEXT, nullable=False),
    ]
)
"""Columns, in order; docs/sweeps.md says what they mean."""


def key(request: Mapping[str, Any]) -> str:
    """Return what a row goes by: the SHA-256, in hex, over all that it follows from."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


_NEEDED = [field.name for field in SCHEMA if not field.nullable]
_FIGURES = [*COUNTERS, "cycles_per_token"]  # of a row that was measured
_PYTHON = {_TEXT: str, _COUNT: int, _REAL: (int, float), pa.bool_(): bool}
_KIND_OF = {field.name: _PYTHON[field.type] for field in SCHEMA}


class Log:
    """Every row that was ever found in a directory, a line each, written as it comes.

    Parameters
    ----------
    path : Path
        ``rows.jsonl``; need not be there.

    Attributes
    ----------
    rows : dict
        By their ``key``.
    ignored : list of int
        Numbers, from 1, of the lines that are no whole rows: as if they were not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, dict[str, Any]] = {}
        text = path.read_bytes().decode(errors="replace") if path.exists() else ""
        self._torn = bool(text) and not text.endswith("\n")  # where an older run was killed
        self.ignored: list[int] = []
        for number, line in enumerate(text.split("\n"), 1):
            if not line:
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if row is not None and _is_row(row):
                self.rows[row["key"]] = row
            else:
                self.ignored.append(number)

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep a row, by its ``key``."""
        self.rows[str(row["key"])] = dict(row)
        with self._path.open("a") as file:
            file.write("\n" * self._torn + json.dumps(row) + "\n")
        self._torn = False


def _is_row(row: object) -> bool:
    """Return whether a line's JSON is a row whose values are of the kinds of `SCHEMA`."""
    if not isinstance(row, dict) or any(row.get(name) is None for name in _NEEDED):
        return False
    if row["status"] not in ("measured", "refused"):  # what failed is not in the log
        return False
    if any(row.get(name) is None for name in _FIGURES if row["status"] == "measured"):
        return False
    return all(
        isinstance(value, _KIND_OF.get(name, object))
        for name, value in row.items()
        if value is not None
    )


def write_parquet(rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any], path: Path) -> None:
    """Write rows by `SCHEMA`, whole or not at all.

    Parameters
    ----------
    rows : iterable of mapping
        What a row lacks is null.
    facts : mapping
        What all rows have in common, as JSON in the file's metadata, key ``spikeloom``.
    path : Path
        The file.
    """
    schema = SCHEMA.with_metadata({"spikeloom": json.dumps(facts, sort_keys=True)})
    table = pa.Table.from_pylist(list(rows), schema=schema)
    replace_whole(path, lambda part: parquet.write_table(table, part))


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let a file be written beside `path`, and put it there when it is whole."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
