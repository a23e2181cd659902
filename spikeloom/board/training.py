"""A DRAM after reset: the board's CPU trains it, and until then its memory holds nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from spikeloom.board.errors import BoardError
from spikeloom.board.words import WordTransport, bus_address

__all__ = ["Training"]

_CPU = "config_cpu_type_vexriscv"  # without it nobody on the board trains
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Training:
    """Where a system on a chip says that its DRAM is trained.

    Attributes
    ----------
    done, failed : int
        Bus addresses of two registers whose bit 0 says so.
    """

    done: int
    failed: int

    @classmethod
    def of(cls, csr: dict[str, Any]) -> Self | None:
        """Return it as LiteX's ``csr.json`` has it; None where no CPU of the board trains."""
        registers = csr.get("csr_registers", {})
        names = ("ddrctrl_init_done", "ddrctrl_init_error")
        if _CPU not in csr.get("constants", {}) or not set(names) <= registers.keys():
            return None
        done, failed = (bus_address(registers[name]["addr"]) for name in names)
        return cls(done=done, failed=failed)

    def wait(
        self,
        transport: WordTransport,
        patience: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Wait until the DRAM is trained.

        Raises
        ------
        BoardError
            Where the training fails, or takes more than `patience` seconds.
        """
        end = clock() + patience
        while not self._is_set(transport, self.done):
            if clock() > end:
                raise BoardError(
                    f"{transport.name}: the DRAM is not trained after {patience:g} s: see what "
                    "the BIOS says (litex_term crossover), and load the bitstream again"
                )
            sleep(_PAUSE_SECONDS)
        if self._is_set(transport, self.failed):
            raise BoardError(
                f"{transport.name}: training the DRAM failed: see what the BIOS says "
                "(litex_term crossover); its memory cannot be used"
            )

    @staticmethod
    def _is_set(transport: WordTransport, address: int) -> bool:
        return bool(int(transport.read_words(address, 1)[0]) & 1)
