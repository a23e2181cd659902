"""The simulators there are: the accelerator with its memory, or alone, and the memory alone."""

from collections.abc import Callable, Iterable
from pathlib import Path

from golden.console.places import SOURCES, builds
from golden.console.version import digest
from hw.contract import regs
from hw.contract.params import HwParams
from hw.memory.port import AXI_ID_WIDTH
from sim.memories import IDEAL
from sim.rtl.litedram import controller, controller_content
from sim.rtl.verilog import Build, Design, build

__all__ = [
    "BUILD_ROOT",
    "bench_parameters",
    "build_aborts",
    "build_accelerator",
    "build_bench",
    "build_memory",
    "rtl_sources",
]

BUILD_ROOT = builds("verilator")
"""Where builds are kept."""

_BENCH = SOURCES / "sim" / "rtl" / "bench"
_MEMORY_SOURCES = [_BENCH / "dram.sv", _BENCH / "dram.cpp"]
_CONTROLLER_SOURCES = [_BENCH / name for name in ("litedram.sv", "litedram.cpp", "dram.cpp")]
_HEADERS = [_BENCH / name for name in ("axi.h", "axi_memory.h", "trace.h")]
_MEMORY_FILES = [*_MEMORY_SOURCES, *_HEADERS]

_REQUEST = ("id", "addr", "len", "size", "burst", "lock", "cache", "prot", "qos")
_BUS = {  # channels of AXI4 and their signals, but valid and ready
    "aw": _REQUEST,
    "w": ("data", "strb", "last"),
    "b": ("id", "resp"),
    "ar": _REQUEST,
    "r": ("id", "data", "resp", "last"),
}
_NOT_IN_DRAM = ("lock", "cache", "prot", "qos")
_REGISTER_BUS = {  # the same of AXI4-Lite
    "aw": ("addr", "prot"),
    "w": ("data", "strb"),
    "b": ("resp",),
    "ar": ("addr", "prot"),
    "r": ("data", "resp"),
}


def _ports(prefix: str, bus: dict[str, tuple[str, ...]], without: tuple = ()) -> list[str]:
    return [
        f"{prefix}_{channel}{signal}"
        for channel, signals in bus.items()
        for signal in (*signals, "valid", "ready")
        if signal not in without
    ]


_HOST_PORTS = ["clk", "rst", "irq", *_ports("s_axil", _REGISTER_BUS)]


def _hardware(params: HwParams) -> tuple[Callable[[Path], Iterable[Path]], dict[str, object]]:
    """Return what writes the accelerator's Verilog, and what stands for it in a key."""

    def emit(directory: Path) -> list[Path]:
        from hw.generate.emit import emit as emit_verilog  # elaborates, which takes seconds

        return [path for path in emit_verilog(params, directory) if path.suffix == ".v"]

    return emit, {"params": params.as_dict(), "hw": digest(rtl_sources())}


def rtl_sources() -> Iterable[Path]:
    """Return the files that the accelerator's Verilog is made of: all of `hw` but systems."""
    package = SOURCES / "hw"
    found = (path.relative_to(package) for path in package.rglob("*.py"))
    return (package / path for path in found if path.parts[0] != "soc")


def build_bench(
    params: HwParams,
    *,
    memory: str = IDEAL,
    waves: bool = False,
    root: Path = BUILD_ROOT,
    say: Callable[[str], None] = lambda _doing: None,
) -> Build:
    """Return the accelerator with one of `sim.memories.MEMORIES` on its bus.

    `waves` asks for a build that can record them; `say` is told of a build under way. Raises as
    `sim.rtl.verilog.build` and `sim.rtl.litedram.controller` do.
    """
    emit, content = _hardware(params)
    ideal = memory == IDEAL
    bench = [_BENCH / "bench.sv", *(_MEMORY_SOURCES if ideal else _CONTROLLER_SOURCES)]
    if not ideal:
        content |= {"controller": controller_content(params)}

    def sources(directory: Path) -> list[Path]:
        more = [] if ideal else [controller(params, directory, data=True)]
        return [*emit(directory), *more, *bench]

    design = Design(
        toplevel="spikeloom_bench",
        sources=sources,
        content={**content, "bench": digest({*bench, *_HEADERS})},
        signals=["fault", *_HOST_PORTS],
        parameters=bench_parameters(params),
        waves=waves,
    )
    return build(design, root, say)


def bench_parameters(params: HwParams) -> dict[str, int]:
    """Return the parameters of ``bench.sv`` for an accelerator: the widths of its ports."""
    return {
        "DATA_WIDTH": params.axi_data_width,
        "ADDR_WIDTH": params.axi_addr_width,
        "AXIL_ADDR_WIDTH": regs.ADDR_WIDTH,
        "ID_WIDTH": AXI_ID_WIDTH,
    }


def build_accelerator(params: HwParams, *, root: Path = BUILD_ROOT) -> Build:
    """Return the accelerator alone, all its ports open to Python."""
    emit, content = _hardware(params)
    design = Design(
        toplevel="spikeloom_top",
        sources=emit,
        content=content,
        signals=[*_HOST_PORTS, *_ports("m_axi", _BUS)],
        parameters={},
    )
    return build(design, root)


def build_aborts(params: HwParams, *, root: Path = BUILD_ROOT) -> Build:
    """Return the accelerator with what ends its programs in every way (`sim.rtl.aborts`)."""
    emit, content = _hardware(params)
    main = _BENCH / "aborts.cpp"
    design = Design(
        toplevel="spikeloom_top",
        sources=emit,
        content={**content, "bench": digest([main, *_HEADERS])},
        signals=[],
        parameters={},
        main=main,
    )
    return build(design, root)


def build_memory(*, data_width: int, addr_width: int, root: Path = BUILD_ROOT) -> Build:
    """Return the memory of ``sim/rtl/bench`` alone, all its ports open to Python."""
    design = Design(
        toplevel="dram",
        sources=lambda _: _MEMORY_SOURCES,
        content={"bench": digest(_MEMORY_FILES)},
        signals=["clk", "rst", "fault", *_ports("m_axi", _BUS, without=_NOT_IN_DRAM)],
        parameters={
            "DATA_WIDTH": data_width,
            "ADDR_WIDTH": addr_width,
            "ID_WIDTH": AXI_ID_WIDTH,
        },
    )
    return build(design, root)
