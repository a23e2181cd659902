"""What one proof is, and how it is run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from amaranth import Module
from amaranth.back import rtlil

from hw.params import HwParams
from tests.formal.sby import Outcome, sby

__all__ = ["Mutation", "Proof"]

_ENGINES = {
    "reachability": ("prove", "abc pdr"),
    "induction": ("prove", "smtbmc yices"),
    "bounded": ("bmc", "smtbmc yices"),
}


@dataclass(frozen=True)
class Mutation:
    """A fault put into a file of `hw` on purpose: text that occurs once, and what replaces it."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A property of a block.

    Attributes
    ----------
    name : str
        Of the proof, and of its directory.
    block, claim : str
        What it speaks of, and what it says.
    build : callable
        Puts the block, its environment (assumptions), assertions and covers into a module.
    params : HwParams
        The dimensions that it is proved for.
    engine : str
        ``reachability`` (PDR on bits) and ``induction`` (k-induction on words) hold for runs of any
        length; ``bounded`` holds for runs of `depth` cycles.
    depth : int
        Cycles of ``bounded``, k of ``induction``; ``reachability`` needs none.
    cover_depth : int
        Cycles within which every cover is reached.
    full : bool
        Whether it is left to the full tests.
    mutations : tuple of Mutation
        Faults of which each must make it fail.
    """

    name: str
    block: str
    claim: str
    build: Callable[[Module, HwParams], None]
    params: HwParams
    engine: str = "reachability"
    depth: int = 1
    cover_depth: int = 20
    full: bool = False
    mutations: tuple[Mutation, ...] = field(default=())

    def to_rtlil(self) -> str:
        """Elaborate it."""
        m = Module()
        self.build(m, self.params)
        return rtlil.convert(m, name="top", ports=(), platform="formal")

    def prove(self, directory: Path, timeout: int) -> Outcome:
        """Check the assertions."""
        mode, engine = _ENGINES[self.engine]
        return sby(
            self.to_rtlil(),
            mode=mode,
            engine=engine,
            depth=self.depth,
            timeout=timeout,
            directory=directory / "prove",
        )

    def cover(self, directory: Path, timeout: int) -> Outcome:
        """Reach every cover: what the assertions speak of does happen."""
        return sby(
            self.to_rtlil(),
            mode="cover",
            engine="smtbmc yices",
            depth=self.cover_depth,
            timeout=timeout,
            directory=directory / "cover",
        )
