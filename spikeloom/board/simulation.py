"""The boards that everybody has: the RTL in Verilator, alone or within a system on a chip."""

from collections.abc import Callable

from hw.contract.params import HwParams
from sim.device import Timing
from sim.errors import ToolError
from sim.rtl.served import REGISTERS_BASE, Served
from sim.system.system import System
from spikeloom.board.errors import BoardError
from spikeloom.board.uartbone import SocketLine, UartBone

__all__ = ["SYSTEM_MEMORY", "SYSTEM_REGISTERS", "SimulatedSystem", "Simulation"]

_PATIENCE = 600.0  # seconds; what was written lies in the connection until the simulation takes it

SYSTEM_REGISTERS, SYSTEM_MEMORY = 0x9000_0000, 0x4000_0000
"""Where a system of `hw.soc` has the accelerator's registers and its memory."""


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
        line = SocketLine("127.0.0.1", self._served.port, _PATIENCE)
        name = f"the simulation at port {self._served.port}"
        super().__init__(line, name, REGISTERS_BASE, 0)

    def close(self) -> None:
        """End the simulation; raises BoardError where it had ended by itself."""
        super().close()
        self._served.close()
        if isinstance(self._served.error, ToolError):
            raise BoardError(f"the simulation broke off: {self._served.error}")


class SimulatedSystem(UartBone):
    """A simulated system on a chip: bridge, bus, DRAM controller and DRAM about the accelerator.

    Parameters
    ----------
    params : HwParams
        The hardware.
    say : callable
        Is told of a build under way.
    """

    def __init__(self, params: HwParams, say: Callable[[str], None] = lambda _doing: None) -> None:
        self._system = System(params, say=say)
        self._system.__enter__()
        line = SocketLine(self._system.host, self._system.port, _PATIENCE)
        name = f"the simulated system at port {self._system.port}"
        super().__init__(line, name, SYSTEM_REGISTERS, SYSTEM_MEMORY)

    def close(self) -> None:
        """End it."""
        super().close()
        self._system.close()
