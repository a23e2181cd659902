"""What synthesis is told of memories."""

from typing import Any

__all__ = ["NO_COLLISIONS"]

NO_COLLISIONS: dict[str, Any] = {"no_rw_check": 1}
"""Attributes of a memory from which nothing is used that was read while it was written.

Without them synthesis adds registers and multiplexers that make such a reading give the old word.
The attribute is Yosys' own; in a design read as RTLIL, `DONT_CARE` of `hw.generate.yosys` applies
it. Such a memory has one port to read and one to write, and a proof that such a reading is not
used."""
