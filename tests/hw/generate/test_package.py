"""What comes with the Verilog: constraints, wrapper, core file, a script for the IP catalogue."""

import re
import shutil
import subprocess

import pytest
import yaml

from hw.__main__ import main
from hw.contract.boards import BOARDS
from hw.contract.presets import preset
from hw.generate.choice import choose
from hw.generate.emit import TOP
from hw.generate.package import package
from hw.generate.wrapper import WRAPPER
from sim.rtl.verilog import verilator


@pytest.fixture(scope="module")
def choice():
    return choose(named="test", clock_mhz=80)


@pytest.fixture(scope="module")
def directory(choice, tmp_path_factory):
    directory = tmp_path_factory.mktemp("package")
    package(choice, directory)
    return directory


def run(*command, cwd):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_every_file_says_whose_it_is_and_what_for(choice, directory):
    files = [file for file in directory.iterdir() if file.suffix not in (".vlt", ".json")]
    assert len(files) == 7
    for file in files:
        text = file.read_text()
        head = "\n".join(text.splitlines()[:30])
        assert "SPDX-License-Identifier: Apache-2.0" in head, file
        assert f"Fingerprint: {choice.fingerprint}" in head, file
        for name, value in preset("test").as_dict().items():
            assert re.search(rf"[#/]+   {name} = ", head), (file, name, value)


def test_the_same_request_writes_the_same_bytes(choice, directory, tmp_path):
    package(choice, tmp_path)
    assert {f.name for f in tmp_path.iterdir()} == {f.name for f in directory.iterdir()}
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (directory / file.name).read_bytes()


def test_the_wrapper_is_clean_and_has_every_port(directory):
    done = run(
        *(verilator(), "--lint-only", "-Wall", "--top-module", WRAPPER),
        *(f"{TOP}.vlt", f"{TOP}.v", f"{WRAPPER}.v"),
        cwd=directory,
    )
    assert done.returncode == 0 and "%Warning" not in done.stderr, done.stderr
    top, wrapper = (directory / f"{name}.v" for name in (TOP, WRAPPER))
    ports = re.compile(r"^    (?:input|output) +wire +(?:\[\d+:\d+\])? *(\w+)", re.MULTILINE)
    inside, outside = (ports.findall(file.read_text()) for file in (top, wrapper))
    assert [*outside[:2], *inside[2:]] == ["aclk", "aresetn", *outside[2:]]
    kinds = re.findall(r"xilinx.com:interface:aximm:1.0 (\w+) (\w+)", wrapper.read_text())
    assert [f"{bus}_{signal}".lower() for bus, signal in kinds] == inside[2:-1]


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (iverilog) is not here")
def test_icarus_takes_it(directory):
    files = [f"{TOP}.v", f"{WRAPPER}.v"]
    for generation in ("-g2005", "-g2012"):
        done = run("iverilog", generation, "-o", "out", "-s", WRAPPER, *files, cwd=directory)
        assert done.returncode == 0 and not done.stderr, done.stderr
    (directory / "out").unlink()


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (iverilog) is not here")
def test_reset_reaches_the_accelerator_high_and_in_its_clock(directory, tmp_path):
    (tmp_path / "bench.v").write_text(f"""
module bench;
    reg aclk = 0, aresetn = 0;
    integer edges;
    {WRAPPER} dut (.aclk(aclk), .aresetn(aresetn));
    always #5 aclk = !aclk;
    initial begin
        #1 if (dut.top.rst !== 1) $display("low at first");
        repeat (3) @(posedge aclk);
        #1 if (dut.top.rst !== 1) $display("low in reset");
        aresetn = 1;
        edges = 0;
        while (dut.top.rst) begin @(posedge aclk); #1 edges = edges + 1; end
        if (edges != 2) $display("released after %0d edges", edges);
        $display("end");
        $finish;
    end
endmodule
""")
    files = [str(directory / f"{name}.v") for name in (TOP, WRAPPER)]
    assert run("iverilog", "-o", "out", "bench.v", *files, cwd=tmp_path).returncode == 0
    assert run("vvp", "out", cwd=tmp_path).stdout.splitlines()[0] == "end"


def test_the_clock_is_the_one_that_was_asked_for(directory):
    assert (directory / f"{TOP}.sdc").read_text().splitlines()[-1] == (
        "create_clock -name clk -period 12.500 [get_ports clk]"
    )
    assert (directory / f"{WRAPPER}.xdc").read_text().splitlines()[-1] == (
        "create_clock -name aclk -period 12.500 [get_ports aclk]"
    )
    lpf = (directory / f"{TOP}.lpf").read_text().splitlines()
    assert lpf[-1] == 'FREQUENCY PORT "clk" 80 MHZ;'


def test_the_core_file_names_files_that_are_there(directory):
    text = (directory / f"{TOP}.core").read_text()
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text)
    named = {name for files in core["filesets"].values() for name in files["files"]}
    assert named and all((directory / name).is_file() for name in named)
    assert {"default", "lint", "ecp5", "xilinx"} == core["targets"].keys()
    for target in core["targets"].values():
        assert {*target["filesets"]} <= core["filesets"].keys()


@pytest.mark.parametrize("board", BOARDS)
def test_the_core_file_is_for_the_boards_fpga(board, tmp_path):
    from hw.generate.catalogue import core, vivado

    of, choice = BOARDS[board], choose(board=board)
    targets = yaml.safe_load(core(choice, TOP))["targets"]
    if of.family == "xilinx":
        assert targets["xilinx"]["flow_options"]["part"] == of.part
        assert f"-part {of.part}\n" in vivado(choice, TOP)
    else:
        options = targets["ecp5"]["flow_options"]["nextpnr_options"]
        assert options[1:5] == ["--package", of.package, "--speed", of.speed]


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="Tcl (tclsh) is not here")
def test_the_script_for_vivado_runs_on_commands_that_record(directory, tmp_path):
    script = directory / "package_ip.tcl"
    assert script.read_text().startswith("# Never run: Vivado was not at hand.")
    stub = """
namespace eval ipx {}
proc unknown {args} { puts $args; return it }
"""
    for name in ("package_project", "current_core", "infer_bus_interfaces"):
        stub += f"proc ipx::{name} {{args}} {{ puts [list ipx::{name} {{*}}$args]; return core }}\n"
    (tmp_path / "run.tcl").write_text(f"{stub}\nsource {{{script}}}\n")
    done = run("tclsh", "run.tcl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = [line.split()[0] for line in done.stdout.splitlines()]
    assert told[:2] == ["create_project", "add_files"] and told[-1] == "ipx::save_core"


def test_the_command_shows_the_fingerprint(tmp_path, capsys, choice):
    assert main(["generate", "--preset", "test", "--clock", "80", "-o", str(tmp_path)]) == 0
    *files, hardware, mark = capsys.readouterr().out.splitlines()
    assert {tmp_path / file for file in files} == {*tmp_path.iterdir()}
    assert hardware == "hardware: preset test, 80 MHz"
    assert mark == f"fingerprint: {choice.fingerprint}"


def test_two_origins_are_one_too_many(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["generate", "--preset", "test", "--board", "kv260"])
    assert ended.value.code == 2
    said = "argument --board: not allowed with argument --preset (see --help)\n"
    assert capsys.readouterr().err == f"python -m hw generate: {said}"
