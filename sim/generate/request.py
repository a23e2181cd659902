"""What to generate."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compiler.predict.cycles import CLOCK_MHZ
from golden.checkpoint.prompt import Prompt
from golden.recipe.known import DEFAULT_RECIPE
from sim.check.activations import default_prompt
from sim.device import Timing
from sim.scale.link import Link

__all__ = ["MODEL", "PRESET", "GenerateRequest"]

MODEL, PRESET = "smollm2-135m", "edge"
"""Where none is named."""


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """What to generate: see ``python -m sim generate --help``; None stands for the default.

    Attributes
    ----------
    model, preset, coding, recipe : str or None
        What is compiled.
    context : int or None
        Positions that it is compiled for.
    compiled : Path or None
        A compiled directory to run instead; the above are then its.
    prompt : str, sequence of int or None
        The text to continue, or its tokens.
    tokens : int
        How many are added at most.
    device : str
        One of `sim.devices.DEVICES`.
    devices : int
        How many of them share the model.
    link : Link
        Between several.
    check : bool
        Whether golden's integer model must say the same, and the functional device count the same.
    timing : Timing
        Of the memory behind the rtl and cycle devices, and the seed.
    clock_mhz : float
        That the hardware is taken to have, for seconds.
    output : Path or None
        Directory of the report; by default one that no other request has.
    command : str or None
        The command line that asks for it, for the report.
    """

    model: str | None = None
    preset: str | None = None
    coding: str = "csd"
    recipe: str = DEFAULT_RECIPE
    context: int | None = None
    compiled: Path | None = None
    prompt: Prompt | None = None
    tokens: int = 64
    device: str = "functional"
    devices: int = 1
    link: Link = Link()
    check: bool = False
    timing: Timing = Timing()
    clock_mhz: float = CLOCK_MHZ
    output: Path | None = None
    command: str | None = None

    def __post_init__(self) -> None:
        if self.clock_mhz <= 0:
            raise ValueError(f"clock must be above 0 MHz, not {self.clock_mhz:g}")

    def prompt_of(self, model: str) -> str | Sequence[int]:
        """Return the prompt, by default one that suits a model of that name."""
        return default_prompt(model) if self.prompt is None else self.prompt

    def asked(self, model: str, runner: str | None = None) -> Mapping[str, Any]:
        """Return what the results depend on; a default is the same as what it stands for.

        `runner` is what runs it, where it is not the request's device.
        """
        asked = asdict(self)
        for name in ("output", "command", "check", "clock_mhz", "timing", "link"):
            del asked[name]
        asked |= self.timing.asked(runner or self.device)
        asked["model"] = self.model or MODEL
        if self.prompt == default_prompt(model):
            asked["prompt"] = None
        if self.compiled is not None:
            asked |= {"compiled": str(self.compiled.resolve()), "model": model, "preset": None}
        else:
            asked["preset"] = self.preset or PRESET
        if self.devices != 1:
            asked |= {f"link_{name}": value for name, value in asdict(self.link).items()}
        return asked
