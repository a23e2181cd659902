"""What all components are made of: Amaranth's, with its ports known to a type checker."""

from typing import TYPE_CHECKING, Any

from amaranth.lib import wiring

__all__ = ["Component"]


class Component(wiring.Component):
    """A `wiring.Component`; the members of its signature become its attributes."""

    if TYPE_CHECKING:
        # A signature is made at run time, of parameters: no type can follow it.
        def __getattr__(self, name: str) -> Any: ...
