"""Named accelerators, each a variation of one base."""

from dataclasses import replace

from hw.contract.params import HwParams

__all__ = ["PRESETS", "preset"]

_EDGE = HwParams(
    tokens=2,
    lanes=64,
    banks=32,
    max_channels=8192,
    axi_data_width=128,
    max_burst_words=64,
    fetch_depth=256,
    event_depth=128,
    scan_width=32,
)

PRESETS: dict[str, HwParams] = {
    # One core on one channel of HBM (256 bits a cycle, as FPGAs' HBM ports have), for matrices of
    # 7B to 14B models. Several cores, with the outputs shared out among them, are not there yet.
    "datacenter": replace(
        _EDGE,
        lanes=128,
        max_channels=1 << 14,
        axi_data_width=256,
        fetch_depth=512,
    ),
    # For an FPGA a little larger than an ECP5-85F (docs/boards.md); 128 bits a cycle are what a
    # 16-bit DDR3-800 delivers at 100 MHz.
    "edge": _EDGE,
    # Tiny and quick to build; every boundary (tile, burst, word, queue) is met by small layers.
    "test": replace(
        _EDGE,
        lanes=8,
        banks=4,
        max_channels=2048,
        axi_data_width=64,
        max_burst_words=16,
        fetch_depth=128,
        event_depth=64,
        scan_width=16,
    ),
}


def preset(name: str) -> HwParams:
    """Return the preset called `name`; raises ValueError naming those that exist."""
    try:
        return PRESETS[name]
    except KeyError:
        known = ", ".join(sorted(PRESETS))
        raise ValueError(f"preset must be one of {known}, not {name!r}") from None
