"""What one proof is, and how it is run."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth import Module
from amaranth.back import rtlil

from hw.contract.params import HwParams
from hw.contract.presets import preset
from tests.formal.sby import Outcome, sby

__all__ = ["PARAMS", "Proof"]

_TEST = preset("test")
_SMALL = replace(
    _TEST,
    tokens=1,
    max_shift=0,
    lanes=4,
    weight_widths=(8,),
    max_channels=64,
    axi_addr_width=16,
    max_burst_words=4,
    fetch_depth=16,
    event_depth=4,
)

PARAMS: dict[str, HwParams] = {
    "test": _TEST,
    "edge": preset("edge"),
    "test, mac": replace(_TEST, array="mac"),
    "test, no skipping": replace(_TEST, skip_silent=False),
    "small": replace(_SMALL, max_count=1),
    "small, max_count 3": replace(_SMALL, max_count=3),
    "small, max_count 7": replace(_SMALL, max_count=7),
    # A word of several beats, of 8, 4 and 2 bits; and a beat of several words.
    "small, narrow": replace(_SMALL, max_count=1, banks=8, weight_widths=(8, 4, 2)),
    "small, wide": replace(_SMALL, max_count=1, lanes=16, weight_widths=(8, 4, 2)),
}
"""Dimensions that something is proved for, by their names in `docs/proofs.md`."""

_TIMEOUT_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A property of a block, proved by k-induction: it holds for runs of any length.

    Attributes
    ----------
    name : str
        Of the property.
    block, claim : str
        What it speaks of, and what it says.
    build : callable
        Puts the block, its environment (assumptions), assertions and covers into a module.
    params : str
        The dimensions that it is proved for, of `PARAMS`.
    k : int
        Steps of the induction.
    cover_depth : int
        Cycles within which every cover is reached.
    full : bool
        Whether it is left to the full tests.
    covers_full : bool
        Whether its covers are: reaching them takes long.
    """

    name: str
    block: str
    claim: str
    build: Callable[[Module, HwParams], None]
    params: str = "test"
    k: int = 1
    cover_depth: int = 20
    full: bool = False
    covers_full: bool = False

    @property
    def label(self) -> str:
        """Return what tells it from all others."""
        return f"{self.name} ({self.params})"

    def prove(self, directory: Path) -> Outcome:
        """Prove the assertions: ``PASS``, or ``UNKNOWN`` where the induction does not close."""
        return self._run(directory, "prove", self.k)

    def cover(self, directory: Path) -> Outcome:
        """Reach every cover (``PASS``): what the assertions speak of does happen."""
        return self._run(directory, "cover", self.cover_depth)

    def refute(self, directory: Path) -> Outcome:
        """Look for a run that breaks an assertion (``FAIL``), as long as those of the covers."""
        return self._run(directory, "bmc", self.cover_depth)

    def _run(self, directory: Path, mode: str, depth: int) -> Outcome:
        m = Module()
        self.build(m, PARAMS[self.params])
        return sby(
            rtlil.convert(m, name="top", ports=(), platform="formal"),
            mode=mode,
            depth=depth,
            timeout=_TIMEOUT_SECONDS,
            directory=directory / self.label.replace(", ", "-").replace(" ", "_") / mode,
        )
