"""The Verilog that leaves the generator: reproducible, clean, without latch, loop or multiplier."""

import json
import subprocess

import pytest

from hw.__main__ import main
from hw.contract.presets import PRESETS, preset
from hw.generate import docs, yosys
from hw.generate.emit import LINT_WAIVERS, TOP, emit
from sim.rtl.verilog import verilator

SLOW = {"datacenter": pytest.mark.full}  # three times the Verilog of edge


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=SLOW.get(name, ())) for name in sorted(PRESETS)],
)
def generated(request, tmp_path_factory):
    """Return a preset's name and the directory of its Verilog."""
    directory = tmp_path_factory.mktemp(request.param)
    emit(preset(request.param), directory)
    return request.param, directory


def test_same_text_twice(generated, tmp_path):
    name, directory = generated
    emit(preset(name), tmp_path)
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (directory / file.name).read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {
        f"{TOP}.{s}" for s in ("v", "vlt", "json")
    }


def test_the_interface_is_plain(generated):
    text = (generated[1] / f"{TOP}.v").read_text()
    header = text.split(f"module {TOP}(")[1].split(");")[0]
    ports = [port.strip() for port in header.split(",")]
    assert {"clk", "rst", "irq"} < set(ports)
    assert all(p.startswith(("s_axil_", "m_axi_")) for p in set(ports) - {"clk", "rst", "irq"})
    assert "/" not in "".join(line for line in text.splitlines() if line.startswith("(* src"))


def test_verilator_finds_nothing_beyond_the_waivers(generated):
    _, directory = generated
    run = subprocess.run(
        [verilator(), "--lint-only", "-Wall", f"{TOP}.vlt", f"{TOP}.v"],
        cwd=directory,
        capture_output=True,
        text=True,
    )
    assert "%Warning" not in run.stderr and "%Error" not in run.stderr, run.stderr
    assert run.returncode == 0
    assert all(reason for reason in LINT_WAIVERS.values())


def test_yosys_finds_no_latch_no_loop_no_multiplier_in_the_array(generated):
    array = f"\\\\{TOP}.matrix.array"
    commands = [
        f"read_verilog {TOP}.v",
        f"hierarchy -check -top {TOP}",
        "proc",
        "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr t:$sr",
        f"select -assert-min 1 {array}/t:$add",
        f"select -assert-none {array}/t:$mul {array}/t:$div {array}/t:$macc",
        "flatten",
        "opt_clean",
        "check -assert",
    ]
    yosys.run(commands, generated[1])


def test_the_command_writes_and_says_what(tmp_path, capsys):
    assert main(["generate", "--preset", "test", "-o", str(tmp_path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / f"{TOP}.json").read_text())
    assert printed["params"]["lanes"] == preset("test").lanes


def test_an_unknown_preset_is_one_sentence(capsys):
    assert main(["generate", "--preset", "tiny"]) == 2
    expected = "python -m hw generate: preset must be one of datacenter, edge, test, not 'tiny'\n"
    assert capsys.readouterr().err == expected


def test_pages_go_into_a_directory_that_can_be_made(tmp_path, capsys):
    assert main(["docs", "-o", str(tmp_path / "new" / "pages")]) == 0
    assert {file.name for file in (tmp_path / "new" / "pages").iterdir()} == {*docs.PAGES}
    capsys.readouterr()
    (tmp_path / "file").touch()
    assert main(["docs", "-o", str(tmp_path / "file")]) == 2
    said = f"{tmp_path / 'file'} cannot be used (File exists): name another --output\n"
    assert capsys.readouterr().err == f"python -m hw docs: {said}"


def test_the_generated_pages_are_up_to_date(request):
    for name, text in docs.PAGES.items():
        assert (request.config.rootpath / "docs" / name).read_text() == text(), "run make docs"
