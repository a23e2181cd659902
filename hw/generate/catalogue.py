"""What other flows take an accelerator by: a FuseSoC core file, a script for Vivado."""

from hw.contract.boards import board_hardware
from hw.generate.choice import Choice
from hw.generate.text import comment, header
from hw.generate.version import project_version
from hw.generate.wrapper import WRAPPER

__all__ = ["core", "vivado"]

_ECP5, _XILINX = "ecpix5-85f", "kv260"  # whose FPGAs stand in where no board is named


def core(choice: Choice, top: str) -> str:
    """Return the core file, CAPI 2: sources, constraints, a lint and two synthesis targets."""
    about = "Take it up by `fusesoc library add spikeloom DIR`; targets: lint, ecp5, xilinx."
    return f"""\
CAPI=2:
{comment(header(choice.params, about), "#")}
name: ::{top}:{project_version()}
description: Runs spike-driven language models

filesets:
  rtl:
    files: [{top}.v, {WRAPPER}.v]
    file_type: verilogSource
  waivers:
    files: [{top}.vlt]
    file_type: vlt
  ecp5:
    files: [{top}.lpf]
    file_type: LPF
  xilinx:
    files: [{WRAPPER}.xdc]
    file_type: xdc

targets:
  default: &default
    filesets: [rtl]
    toplevel: {top}
  lint:
    <<: *default
    filesets: [rtl, waivers]
    toplevel: {WRAPPER}
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
  ecp5:
    <<: *default
    filesets: [rtl, ecp5]
    flow: trellis
    flow_options:
      nextpnr_options: [{_nextpnr(choice)}]
  xilinx:
    <<: *default
    filesets: [rtl, xilinx]
    toplevel: {WRAPPER}
    flow: vivado
    flow_options:
      part: {_part(choice)}
      pnr: none
"""


def _nextpnr(choice: Choice) -> str:
    """Return what nextpnr-ecp5 is told of the FPGA: an ECP5-85F where the board has none."""
    of = choice.board if choice.board and choice.board.family == "ecp5" else board_hardware(_ECP5)
    size = "--um5g-85k" if "UM5G" in of.part else "--85k"
    return f"{size}, --package, {of.package}, --speed, '{of.speed}', --out-of-context"


def _part(choice: Choice) -> str:
    """Return the Xilinx FPGA: the KV260's where the board has none."""
    of = choice.board
    return of.part if of and of.family == "xilinx" else board_hardware(_XILINX).part


def vivado(choice: Choice, top: str) -> str:
    """Return a Tcl script that packages the wrapper for Vivado's IP catalogue."""
    about = "Never run: Vivado was not at hand. vivado -mode batch -source package_ip.tcl"
    version = ".".join(project_version().split(".")[:2])
    return (
        comment([about, ""], "#")
        + comment(header(choice.params, f"Packages {WRAPPER} for the IP catalogue."), "#")
        + f"""\

set here [file dirname [file normalize [info script]]]
create_project -in_memory -part {_part(choice)}
add_files [list [file join $here {top}.v] [file join $here {WRAPPER}.v]]
set_property top {WRAPPER} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir [file join $here ip] -vendor spikeloom -library accelerators \\
    -taxonomy /UserIP -import_files -set_current true
set core [ipx::current_core]
set_property name {WRAPPER} $core
set_property version {version} $core
set_property display_name {{Spikeloom}} $core
set_property description {{Runs spike-driven language models}} $core
ipx::infer_bus_interfaces xilinx.com:interface:aximm_rtl:1.0 $core
ipx::associate_bus_interfaces -busif S_AXIL -clock aclk $core
ipx::associate_bus_interfaces -busif M_AXI -clock aclk $core
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
"""
    )
