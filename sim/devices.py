"""The devices there are, and the one place that opens one by its name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hw.contract.params import HwParams
from sim.cycle.device import Cycle
from sim.device import Device, Timing
from sim.functional.device import Functional, Observation
from sim.rtl.builds import build_bench
from sim.rtl.device import Rtl

__all__ = ["DEVICES", "OPENERS", "Options", "open_device", "require_device"]

DEVICES = ("rtl", "cycle", "functional")
"""What a program can be run on."""


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a device runs; what one has no notion of, it leaves alone.

    Attributes
    ----------
    timing : Timing
        Of the memory behind the rtl and cycle devices.
    waves, trace : Path or None
        Files in which the rtl device records waves, and all that is written.
    observe : callable or None
        Told by the functional and cycle devices what each instruction did.
    progress : callable
        Told by the rtl and cycle devices, now and then, the bytes read so far.
    say : callable
        Told what is being done before the device can start.
    """

    timing: Timing = field(default_factory=Timing)
    waves: Path | None = None
    trace: Path | None = None
    observe: Callable[[Observation], None] | None = None
    progress: Callable[[int], None] = _nothing
    say: Callable[[str], None] = _nothing


def require_device(
    name: str, allowed: Sequence[str] = DEVICES, where: str = "", why: str = ""
) -> None:
    """Raise ValueError, in one sentence, where a device is none of those allowed."""
    if name not in allowed:
        raise ValueError(f"device must be one of {', '.join(allowed)}{where}, not {name!r}{why}")


def open_device(name: str, params: HwParams, options: Options = Options()) -> Device:  # noqa: B008
    """Return a device, ready to execute programs; the rtl device is built where it must be.

    Parameters
    ----------
    name : str
        One of `DEVICES`.
    params : HwParams
        The hardware.
    options : Options
        How it runs.

    Raises
    ------
    ValueError
        Where there is no such device, or it cannot record waves.
    ToolError
        Where a tool is missing or fails.
    """
    require_device(name)
    if options.waves and name != "rtl":
        raise ValueError(f"waves are recorded on the rtl device only, not on {name}")
    return OPENERS[name](params, options)


def _functional(params: HwParams, options: Options) -> Device:
    return Functional(options.observe)


def _cycle(params: HwParams, options: Options) -> Device:
    return Cycle(timing=options.timing, progress=options.progress, observe=options.observe)


def _rtl(params: HwParams, options: Options) -> Device:
    return Rtl(
        build_bench(
            params,
            memory=options.timing.memory,
            waves=options.waves is not None,
            say=options.say,
        ),
        timing=options.timing,
        waves=options.waves,
        trace=options.trace,
        progress=options.progress,
    )


OPENERS = {"rtl": _rtl, "cycle": _cycle, "functional": _functional}
"""By the name of a device, what opens it."""
