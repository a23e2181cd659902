"""The simulated system as a process that listens on a port."""

import subprocess
from collections.abc import Callable
from types import TracebackType
from typing import Self

from hw.contract.params import HwParams
from sim.errors import ToolError
from sim.rtl.verilog import Build
from sim.system.build import build_system

__all__ = ["System"]


class System:
    """A process that speaks UARTBone on a port of this machine; a context.

    It serves one connection after the other, and what it holds stays between them. Time stands
    still while nobody is connected.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    build : Build, optional
        Of `sim.system.build.build_system`; by default that of the parameters.
    say : callable
        Told of a build under way.

    Attributes
    ----------
    host, port : str, int
        Where it listens, once the context is entered.

    Raises
    ------
    ToolError
        Where LiteX or a tool is missing or fails; on entry, where the process does not start.
    """

    host = "127.0.0.1"
    port: int

    def __init__(
        self,
        params: HwParams,
        *,
        build: Build | None = None,
        say: Callable[[str], None] = lambda _doing: None,
    ) -> None:
        self._build = build or build_system(params, say=say)

    def __enter__(self) -> Self:
        """Start the process and wait until it listens."""
        self._process = subprocess.Popen(
            [str(self._build.executable)],
            cwd=self._build.directory,  # where the memories' initial values lie
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line.isdecimal():
            self.close()
            raise ToolError("the simulated system does not start")
        self.port = int(line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
