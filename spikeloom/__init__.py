"""Spikeloom for notebooks and scripts: from a trained model to spikes, cycles and joules.

A `Model` is loaded, or taken from memory. It encodes vectors as `Spikes`, and compiles to a
`Program` for some `Hardware`, by a `Recipe`. Executing that on a device gives a `Run`::

    import spikeloom

    model = spikeloom.load("stories260k")
    spikes = model.encode("layers.0.gate_up", "Once upon a time")
    spikes.raster(coding="csd").save("raster.pdf")

    program = model.compile("mlp0", hardware="test")
    run = program.run("Once upon a time", device="cycle")
    run.outputs, run.counters, run.joules()

All errors that a caller can mend are `ValueError` with one sentence: what, where and what to do.
Nothing is imported until it is used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikeloom.choices import Hardware, Recipe, hardware, recipe
    from spikeloom.figures import Figure, plot_firing
    from spikeloom.measurement import Measurement
    from spikeloom.model import Model, load
    from spikeloom.program import Program
    from spikeloom.run import Run
    from spikeloom.spikes import Spikes, encode
    from spikeloom.table import Table

    __version__: str

__all__ = [
    "Figure",
    "Hardware",
    "Measurement",
    "Model",
    "Program",
    "Recipe",
    "Run",
    "Spikes",
    "Table",
    "__version__",
    "encode",
    "hardware",
    "load",
    "plot_firing",
    "recipe",
]

_MODULES = {
    "choices": ("Hardware", "Recipe", "hardware", "recipe"),
    "figures": ("Figure", "plot_firing"),
    "measurement": ("Measurement",),
    "model": ("Model", "load"),
    "program": ("Program",),
    "run": ("Run",),
    "spikes": ("Spikes", "encode"),
    "table": ("Table",),
}
_HOMES = {name: f"spikeloom.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import what is asked for: torch alone takes seconds."""
    if name == "__version__":
        from golden.console.version import version

        return version()
    if name not in _HOMES:
        raise AttributeError(f"module 'spikeloom' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted(__all__)
