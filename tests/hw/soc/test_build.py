"""The four stages in order, with stand-ins for the tools: what is done again, and what is told."""

import hashlib
import json

import pytest

from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from hw.soc import build as building
from hw.soc.boards import board
from hw.soc.build import PlacerError, Request, build
from hw.soc.system import CONSTRAINTS, DESCRIPTION, MAPS, NAME, SOURCES

FOLLOW = building._follow
PLACED = {
    "fmax": {"$glbnet$sys_clk": {"achieved": 60.0, "constraint": 48.0}},
    "utilization": {"DP16KD": {"used": 1, "available": 208}},
    "critical_paths": [],
}


class Tools:
    """Stands for LiteX, Yosys, nextpnr and ecppack: writes their files, and counts."""

    def __init__(self):
        self.ran = []

    def write(self, key, params, clock_mhz, baud, directory, log):
        self.ran.append("litex")
        for name in (*SOURCES, *MAPS, CONSTRAINTS, DESCRIPTION, f"{NAME}_rom.init"):
            (directory / name).write_text(f"{name} {key} {clock_mhz} {baud}")

    def yosys(self, commands, directory):
        self.ran.append("yosys")
        (directory / f"{NAME}.json").write_text("\n".join(commands[-1:]))
        return "log"

    def follow(self, tool, options, directory, log, say):
        self.ran.append(tool)
        if tool == "nextpnr_ecp5":
            seed = options[options.index("--seed") + 1]
            (directory / f"{NAME}.config").write_text(f"config of seed {seed}")
            (directory / "report.json").write_text(json.dumps(PLACED))
        else:
            bits = (directory / f"{NAME}.config").read_text()
            (directory / f"{NAME}.bit").write_text(f"bits of {bits}")


@pytest.fixture
def tools(monkeypatch):
    made = Tools()
    monkeypatch.setattr(building, "check_tools", lambda until: None)
    monkeypatch.setattr(building, "write", made.write)
    monkeypatch.setattr(building.yosys, "run", made.yosys)
    monkeypatch.setattr(building, "_follow", made.follow)
    monkeypatch.setattr(building.importlib.metadata, "version", lambda name: "1")
    return made


def request(**other):
    given = {
        "board": board("orangecrab-85f"),
        "params": preset("test"),
        "origin": "preset test",
        "clock_mhz": 48.0,
    }
    return Request(**(given | other))


def test_a_bitstream_comes_with_what_it_is_of(tools, tmp_path):
    result = build(request(), tmp_path)
    assert tools.ran == ["litex", "yosys", "nextpnr_ecp5", "ecppack"]
    bits = (tmp_path / f"{NAME}.bit").read_bytes()
    assert result["bitstream"] == {
        "file": f"{NAME}.bit",
        "bytes": len(bits),
        "sha256": hashlib.sha256(bits).hexdigest(),
    }
    assert result["fingerprint"] == fingerprint(preset("test"))
    assert result["load"] == f"openFPGALoader -b orangeCrab {tmp_path / NAME}.bit"
    assert set(result["minutes"]) == {"system", "netlist", "routed", "bitstream"}
    assert json.loads((tmp_path / "report.json").read_text()) == result
    assert all((tmp_path / name).is_file() for name in (*MAPS, DESCRIPTION))


def test_the_same_request_does_nothing_again(tools, tmp_path):
    first = build(request(), tmp_path)
    tools.ran.clear()
    assert build(request(), tmp_path) == first
    assert tools.ran == []


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"seed": 2}, ["nextpnr_ecp5", "ecppack"]),
        # The stand-ins make the same of it in the end, so that nothing has to be packed.
        ({"baud": 115_200}, ["litex", "yosys", "nextpnr_ecp5"]),
    ],
)
def test_what_changes_is_done_again_from_there_on(tools, tmp_path, change, again):
    build(request(), tmp_path)
    tools.ran.clear()
    build(request(**change), tmp_path)
    assert tools.ran == again


def test_what_was_interrupted_goes_on_after_the_last_whole_stage(tools, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "_follow", stop)
    with pytest.raises(KeyboardInterrupt):
        build(request(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "netlist",
        "system",
    ]
    assert not (tmp_path / "report.json").exists()
    monkeypatch.setattr(building, "_follow", tools.follow)
    tools.ran.clear()
    build(request(), tmp_path)
    assert tools.ran == ["nextpnr_ecp5", "ecppack"]


def test_no_bitstream_of_another_request_stays(tools, tmp_path):
    build(request(), tmp_path)
    file = tmp_path / f"{NAME}.bit"
    assert file.exists()
    build(request(clock_mhz=50.0), tmp_path, until="system")
    assert not file.exists()
    build(request(), tmp_path)
    assert file.exists()


def test_a_change_of_the_script_makes_another_netlist(tools, tmp_path, monkeypatch):
    build(request(), tmp_path / "soc")
    tools.ran.clear()
    script = tmp_path / "yosys.py"
    script.write_text("another")
    monkeypatch.setattr(building.yosys, "__file__", str(script))
    build(request(), tmp_path / "soc")
    assert tools.ran[0] == "yosys"


def test_it_ends_where_it_is_asked_to(tools, tmp_path):
    result = build(request(), tmp_path, until="netlist")
    assert tools.ran == ["litex", "yosys"]
    assert "clocks" not in result and "bitstream" not in result


def test_what_a_tool_says_as_it_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(
        building, "_RUN", "print('Info: x'); print('ERROR: no site {}'); raise SystemExit(3)"
    )
    with pytest.raises(PlacerError) as told:
        building._follow("nextpnr_ecp5", [], tmp_path, tmp_path / "log", lambda doing: None)
    log = tmp_path / "log"
    assert str(told.value) == f"nextpnr_ecp5 failed (3), {log} says: ERROR: no site nextpnr_ecp5"
    assert (tmp_path / "log").read_text().startswith("Info: x\n")


def test_a_placer_that_fails_leaves_its_log_and_no_stage(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "_follow", FOLLOW)
    monkeypatch.setattr(building, "_RUN", "print('ERROR: no {}'); raise SystemExit(1)")
    with pytest.raises(PlacerError, match="nextpnr.log says: ERROR: no nextpnr_ecp5"):
        build(request(), tmp_path)
    assert (tmp_path / "nextpnr.log").read_text() == "ERROR: no nextpnr_ecp5\n"
    assert not (tmp_path / "routed").exists()


@pytest.mark.parametrize("after", [[0], [700] * 49 + [0], [7] * 90 + [0]])
def test_a_router_that_comes_to_an_end_is_waited_for(tmp_path, monkeypatch, after):
    monkeypatch.setattr(building, "_RUN", routing([900, 5, *after]))
    building._follow("nextpnr_ecp5", [], tmp_path, tmp_path / "log", lambda doing: None)


def test_a_router_that_comes_to_no_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "_RUN", routing([900, 500, *[700] * 50, 0]) + "; input()")
    with pytest.raises(
        PlacerError, match="no end with this seed: 500 wires were used twice .* 700"
    ):
        building._follow("nextpnr_ecp5", [], tmp_path, tmp_path / "log", lambda doing: None)


def routing(overused: list[int]) -> str:
    """Return a tool that logs rounds of a router."""
    lines = [f"iter={i} wires=9 overused={many} overuse=9" for i, many in enumerate(overused)]
    return f"# {{}}\nprint({chr(10).join(lines)!r}, flush=True)"


def test_phases_of_the_placer_are_said_once_each(tmp_path, monkeypatch):
    lines = ["Info: Packing IOs..", "Info: Running router2...", "Info: Running router2..."]
    program = "# {}\n" + "\n".join(f"print({line!r})" for line in lines)
    monkeypatch.setattr(building, "_RUN", program)
    said = []
    building._follow("nextpnr_ecp5", [], tmp_path, tmp_path / "log", said.append)
    assert [line.split(",")[0].strip() for line in said] == ["packing", "routing"]
