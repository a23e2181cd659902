"""The board that everybody has: the RTL in Verilator, behind the bridge that a board would have."""

from hw.contract.params import HwParams
from sim.device import Timing
from sim.errors import ToolError
from sim.rtl.served import REGISTERS_BASE, Served
from spikeloom.board.errors import BoardError
from spikeloom.board.uartbone import SocketLine, UartBone

__all__ = ["Simulation"]


class Simulation(UartBone):
    """A simulated accelerator with its memory.

    Parameters
    ----------
    params : HwParams
        The hardware.
    memory_bytes : int
        Of its memory.
    timing : Timing
        The memory's.
    options
        As `sim.rtl.served.Served` takes them.
    """

    def __init__(
        self,
        params: HwParams,
        memory_bytes: int,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        **options,
    ) -> None:
        self._served = Served(params, memory_bytes, timing=timing, **options)
        self._served.__enter__()
        line = SocketLine("127.0.0.1", self._served.port)
        name = f"the simulation at port {self._served.port}"
        super().__init__(line, name, REGISTERS_BASE, 0)

    def close(self) -> None:
        """End the simulation; raises BoardError where it had ended by itself."""
        super().close()
        self._served.close()
        if isinstance(self._served.error, ToolError):
            raise BoardError(f"the simulation broke off: {self._served.error}")
