"""The tokens of a whole model's program on the RTL, as the memory's trace shows them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hw.contract import isa
from hw.contract.isa import Opcode
from sim.device import Registers
from sim.rtl.bench.trace import read_trace, stored_bytes

__all__ = ["TokenStream"]


class TokenStream:
    """Tells of the tokens that a whole model's program writes, as they come.

    Attributes
    ----------
    first, end : int
        Addresses of those that it may write.
    """

    def __init__(
        self,
        memory: np.ndarray,
        program: int,
        registers: Registers,
        on_token: Callable[[int, int], None],
    ) -> None:
        raw = memory[program + isa.HEADER.size // 8 :][: isa.SLOT_BYTES].tobytes()
        fields = isa.unpack(isa.INSTRUCTIONS[Opcode.TOKEN], raw)  # what such a program begins with
        self.first = fields["tokens"]
        self.end = self.first + 4 * (registers.end_position + 1)
        self._on_token, self._seen = on_token, 0

    def look(self, trace: Path) -> None:
        """Tell of those that have come since the last look."""
        records = read_trace(trace, self._seen)
        self._seen += len(records)
        addresses, values = stored_bytes(records)
        inside = (self.first <= addresses) & (addresses < self.end)
        addresses, values = addresses[inside], values[inside]
        for at in np.flatnonzero((addresses - self.first) % 4 == 0):
            token = values[at : at + 4].astype(np.uint8).tobytes()
            self._on_token(int(addresses[at] - self.first) // 4, int.from_bytes(token, "little"))
