"""The cache of simulators: nothing is built twice, and nothing half-built is ever taken."""

import time
from dataclasses import replace

import pytest

from golden.console.version import digest
from hw.contract.presets import preset
from sim.errors import ToolError
from sim.rtl import builds
from sim.rtl.verilog import Design, build


@pytest.fixture
def compiled(monkeypatch):
    """Replace Verilator by a file; returns the list of the directories compiled in."""
    directories = []

    def compile_(design, directory):
        directories.append(directory)
        list(design.sources(directory))
        (directory / design.toplevel).write_text("simulator")

    monkeypatch.setattr("sim.rtl.verilog._compile", compile_)
    return directories


def design(**changes) -> Design:
    values = dict(
        toplevel="top", sources=lambda _: [], content={"a": 1}, signals=["clk"], parameters={"W": 8}
    )
    return Design(**values | changes)


def test_the_second_build_compiles_nothing_and_asks_for_no_source(compiled, tmp_path):
    def sources(directory):
        raise AssertionError("sources were generated")

    first = build(design(), tmp_path)
    second = build(design(sources=sources), tmp_path)
    assert len(compiled) == 1
    assert (first.cached, second.cached) == (False, True)
    assert first.executable == second.executable
    assert first.executable.read_text() == "simulator"


def test_a_build_under_way_says_since_when(monkeypatch, tmp_path):
    """Also to who waits for another's; what is there is silent."""
    told = []

    def compile_(design, directory):
        deadline = time.monotonic() + 10
        while not any(": 1 s" in said for said in told) and time.monotonic() < deadline:
            time.sleep(0.05)
        (directory / design.toplevel).write_text("simulator")

    monkeypatch.setattr("sim.rtl.verilog._compile", compile_)
    build(design(), tmp_path, told.append)
    what = "building the simulator with Verilator (once for this hardware, some minutes)"
    assert told[:2] == [what, f"{what}: 1 s"]
    told.clear()
    build(design(), tmp_path, told.append)
    assert told == []


@pytest.mark.parametrize(
    "changes",
    [
        dict(toplevel="other"),
        dict(content={"a": 2}),
        dict(signals=["clk", "rst"]),
        dict(parameters={"W": 16}),
        dict(waves=True),
    ],
    ids=str,
)
def test_whatever_differs_is_built_apart(compiled, tmp_path, changes):
    build(design(), tmp_path)
    assert not build(design(**changes), tmp_path).cached


def test_another_tool_version_is_built_apart(compiled, tmp_path, monkeypatch):
    build(design(), tmp_path)
    monkeypatch.setattr("sim.rtl.verilog.tool_versions", lambda: {"verilator": "6"})
    assert not build(design(), tmp_path).cached


def test_a_killed_build_is_made_anew(compiled, tmp_path):
    def killed(directory):
        (directory / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(design(sources=killed), tmp_path)
    made = build(design(), tmp_path)
    assert not made.cached
    assert not (made.directory / "half").exists()


def test_a_faulty_source_is_one_sentence(tmp_path):
    def sources(directory):
        path = directory / "top.v"
        path.write_text("module top(input clk);\n  assign nothing = ;\nendmodule\n")
        return [path]

    sentence = r"^verilator \(log: .*\) failed with status 1: %Error"
    with pytest.raises(ToolError, match=sentence) as caught:
        build(design(sources=sources, signals=[], parameters={}), tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.__notes__


def test_a_blank_in_the_path_is_refused(compiled, tmp_path):
    with pytest.raises(ToolError, match="make cannot build in a path with a blank: "):
        build(design(), tmp_path / "a blank")


def test_a_digest_sees_names_and_contents(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("x")
    assert len({digest([one]), digest([two]), digest([one, two])}) == 3
    before = digest([one])
    one.write_text("y")
    assert digest([one]) != before


def test_the_accelerator_is_known_without_elaborating_it(compiled, tmp_path, monkeypatch):
    monkeypatch.setattr("hw.generate.emit.emit", lambda params, directory: [directory / "top.v"])
    first = builds.build_bench(preset("test"), root=tmp_path)

    def elaborate(params, directory):
        raise AssertionError("the hardware was elaborated")

    monkeypatch.setattr("hw.generate.emit.emit", elaborate)
    assert builds.build_bench(preset("test"), root=tmp_path).executable == first.executable
    with pytest.raises(AssertionError, match="elaborated"):
        builds.build_bench(replace(preset("test"), event_depth=16), root=tmp_path)
