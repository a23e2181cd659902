"""The KV260's files, as far as open tools go: Tcl, Icarus and Python read them."""

import ast
import re
import shutil
import subprocess

import pytest

from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from hw.generate.choice import choose
from hw.soc import zynq

# Stand-ins of Vivado's commands: each call is printed, and stands for what it would return.
STUBS = """
proc unknown {args} {
    puts "CALL $args"
    return "<$args>"
}
proc get_property {name object} { return 100% }
proc get_board_parts {args} { return [list xilinx.com:kv260_som:part0:1.4] }
rename file real_file
proc file {verb args} {
    if {$verb eq "copy"} { puts "CALL file copy $args"; return }
    real_file $verb {*}$args
}
proc glob {args} { return [list system.hwh] }
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("kv260")
    zynq.write(choose(named="test"), directory)
    return directory


def run_tcl(script, tmp_path):
    """Return the calls that a script makes of commands that Tcl itself does not have."""
    if shutil.which("tclsh") is None:
        pytest.skip("tclsh is not installed: apt-get install tcl")
    driver = tmp_path / "driver.tcl"
    driver.write_text(f"{STUBS}\nsource {script}\n")
    done = subprocess.run(["tclsh", driver], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [line.removeprefix("CALL ") for line in done.stdout.splitlines() if "CALL" in line]


def test_tcl_goes_through_the_block_design_from_project_to_bitstream(files, tmp_path):
    calls = run_tcl(files / "block_design.tcl", tmp_path)
    order = [
        "create_project spikeloom",
        "create_bd_design system",
        "create_bd_cell -type module -reference spikeloom_zynq",
        "validate_bd_design",
        "make_wrapper",
        "launch_runs impl_1 -to_step write_bitstream",
        "write_hw_platform",
        "file copy",
    ]
    found = [next(i for i, call in enumerate(calls) if call.startswith(of)) for of in order]
    assert found == sorted(found)


def test_the_block_design_connects_the_one_master_to_the_first_port(files, tmp_path):
    calls = run_tcl(files / "block_design.tcl", tmp_path)
    ports = [call for call in calls if re.search(r"PSU__USE__S_AXI_GP\d", call)]
    assert len(ports) == 1
    assert "CONFIG.PSU__USE__S_AXI_GP2 1" in ports[0]
    assert "CONFIG.PSU__SAXIGP2__DATA_WIDTH 64" in ports[0]
    assert "get_bd_intf_pins ps/S_AXI_HP0_FPD" in calls
    (registers,) = [call for call in calls if call.startswith("assign_bd_address -offset")]
    assert registers.split()[2] == f"{zynq.REGISTERS_BASE:#x}"


def test_tcl_would_see_a_broken_script(files, tmp_path):
    broken = tmp_path / "broken.tcl"
    broken.write_text((files / "block_design.tcl").read_text().replace("{incr port} {", "{", 1))
    with pytest.raises(AssertionError):
        run_tcl(broken, tmp_path)


def stub_of_top(verilog):
    """Return module spikeloom_top with its ports, which asks for two addresses and is silent."""
    begin = verilog.index("module spikeloom_top (")
    head = verilog[begin : verilog.index(");", begin)].replace("output reg", "output wire")
    return f"""{head});
    assign m_axi_awaddr = 40'h12345678;
    assign m_axi_araddr = 40'h8;
endmodule
"""


def test_address_0_of_the_accelerator_is_the_reserved_memory_s_first(files, tmp_path):
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus is not installed: apt-get install iverilog")
    stub, bench = tmp_path / "stub.v", tmp_path / "bench.v"
    stub.write_text(stub_of_top((files / "spikeloom_top.v").read_text()))
    bench.write_text("""
module bench;
    wire [39:0] write, read;
    spikeloom_zynq block (.m_axi_awaddr(write), .m_axi_araddr(read));
    initial #1 $display("%h %h", write, read);
endmodule
""")
    run = tmp_path / "bench"
    subprocess.run(["iverilog", "-o", run, bench, files / "spikeloom_zynq.v", stub], check=True)
    shown = subprocess.run(["vvp", run], capture_output=True, text=True, check=True).stdout
    base = zynq.MEMORY_BASE
    assert shown.split() == [f"{base + 0x1234_5678:010x}", f"{base + 8:010x}"]


def test_the_block_compiles_with_the_accelerator_in_it(files, tmp_path):
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus is not installed: apt-get install iverilog")
    sources = [files / "spikeloom_zynq.v", files / "spikeloom_top.v"]
    subprocess.run(["iverilog", "-o", tmp_path / "all", *sources], check=True)


def test_all_say_that_nobody_has_run_them(files):
    for name in ("spikeloom_zynq.v", "block_design.tcl", "overlay.py", "device_tree.dtsi"):
        assert "Never run" in (files / name).read_text().splitlines()[0], name
    assert "Nobody has run any of this" in (files / "README.md").read_text()


def test_the_overlay_s_script_knows_the_fingerprint(files):
    tree = ast.parse((files / "overlay.py").read_text())
    named = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert named == {
        "REGISTERS": zynq.REGISTERS_BASE,
        "MEMORY": zynq.MEMORY_BASE,
        "FINGERPRINT": fingerprint(preset("test")),
    }


def test_memory_is_reserved_once_and_named_everywhere_alike(files):
    tree = (files / "device_tree.dtsi").read_text()
    assert f"reg = <0x0 {zynq.MEMORY_BASE:#x} 0x0 {zynq.MEMORY_BYTES:#x}>;" in tree
    assert f"spikeloom@{zynq.MEMORY_BASE:x}" in tree
    assert tree.count("{") == tree.count("}")
    assert f"--memory-base {zynq.MEMORY_BASE:#x}" in (files / "README.md").read_text()
    assert f"MEMORY_BASE = {zynq.MEMORY_BASE}" in (files / "spikeloom_zynq.v").read_text()
