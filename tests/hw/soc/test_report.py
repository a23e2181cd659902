"""What a build reports, out of what nextpnr reports."""

import hashlib
import json

import pytest

from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from hw.soc import report
from hw.soc.boards import board


def step(kind, delay, begins, ends):
    return {"type": kind, "delay": delay, "from": {"cell": begins}, "to": {"cell": ends}}


SYS = "$glbnet$VexRiscv.cache.clk"  # Yosys names the system's clock after any of its nets
PLACED = {
    "fmax": {
        SYS: {"achieved": 50.0, "constraint": 75.0},
        "clk100$TRELLIS_IO_IN": {"achieved": 200.0, "constraint": 100.0},
    },
    "utilization": {
        "TRELLIS_COMB": {"used": 41820, "available": 83640},
        "DP16KD": {"used": 52, "available": 208},
        "DCCA": {"used": 7, "available": 56},
    },
    "critical_paths": [
        {
            "from": "posedge clk100$TRELLIS_IO_IN",
            "to": "posedge clk100$TRELLIS_IO_IN",
            "path": [step("clk-to-q", 1.0, "por_0", "lut"), step("setup", 4.0, "lut", "por_1")],
        },
        {
            "from": f"posedge {SYS}",
            "to": f"posedge {SYS}",
            "path": [step("clk-to-q", 0.5, "a_FF", "b"), step("setup", 19.5, "b", "c_FF")],
        },
        {
            "from": "<async>",
            "to": f"posedge {SYS}",
            "path": [step("setup", 99.0, "pin", "d")],
        },
    ],
}


def result(placed=PLACED):
    asked = report.begin(
        board=board("ecpix5-85f"),
        params=preset("test"),
        origin="preset test",
        clock_mhz=75.0,
        baud=1_000_000,
    )
    more = {"minutes": {"system": 1.0, "routed": 30.5}, "tools": {"litex": "1"}, "seed": 3}
    return asked | report.timing(placed, 75.0) | more


def test_slack_is_what_is_left_of_a_period():
    clocks = report.timing(PLACED, 75.0)["clocks"]
    assert clocks == {
        "sys_clk": {"achieved_mhz": 50.0, "constraint_mhz": 75.0, "slack_ns": -6.67},
        "clk100": {"achieved_mhz": 200.0, "constraint_mhz": 100.0, "slack_ns": 5.0},
    }
    assert not report.meets_timing({"clocks": clocks})
    assert report.meets_timing({"clocks": {"clk100": clocks["clk100"]}})


def test_cells_have_the_names_that_people_know():
    assert report.timing(PLACED, 75.0)["utilization"] == {
        "LUT4": {"used": 41820, "available": 83640},
        "block RAMs": {"used": 52, "available": 208},
    }


def test_the_slowest_path_is_that_with_the_least_slack_between_registers():
    path = {"clock": "sys_clk", "ns": 20.0, "from": "a_FF", "to": "c_FF"}
    assert report.timing(PLACED, 75.0)["worst_path"] == path
    assert report.timing(PLACED | {"critical_paths": []}, 75.0)["worst_path"] == {}


def test_it_says_which_hardware_the_programs_must_be_for():
    made = result()
    assert made["fingerprint"] == fingerprint(preset("test"))
    assert made["params"] == preset("test").as_dict()


def test_what_is_too_slow_is_told_beside_the_checksum(tmp_path):
    file = tmp_path / "spikeloom_soc.bit"
    file.write_bytes(b"\xff\x00bits")
    made = result() | {"bitstream": report.bitstream(file), "load": "openFPGALoader -b ecpix5 x"}
    made["talk"] = "python -m spikeloom.board selftest"
    assert made["bitstream"] == {
        "file": "spikeloom_soc.bit",
        "bytes": 6,
        "sha256": hashlib.sha256(b"\xff\x00bits").hexdigest(),
    }
    text = report.text(made)
    assert "too slow for its clock" in text
    assert "sys_clk                       75.0 MHz  50.0 MHz  -6.67 ns" in text
    assert "LUT4           41820   83640  50.0 %" in text
    fast = json.loads(json.dumps(PLACED))
    fast["fmax"][SYS]["achieved"] = 80.0
    text = report.text(made | report.timing(fast, 75.0))
    assert "too slow" not in text
    assert "load it: openFPGALoader -b ecpix5 x\ntalk to it: python -m spikeloom.board" in text


def test_both_files_are_written_whole(tmp_path):
    files = report.write(result(), tmp_path)
    assert [file.name for file in files] == ["report.json", "report.txt"]
    assert json.loads(files[0].read_text()) == json.loads(json.dumps(result()))
    assert files[1].read_text() == report.text(result())
    assert sorted(tmp_path.iterdir()) == files


def test_a_report_of_a_system_alone_has_no_clocks():
    made = {key: value for key, value in result().items() if key not in report.timing(PLACED, 75.0)}
    assert "MHz" not in report.text(made)
    assert report.meets_timing(made)


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("ecpix5-85f", ("--um5g-85k", "--package", "CABGA554", "--speed", "8")),
        ("orangecrab-85f", ("--85k", "--package", "CSFBGA285", "--speed", "8")),
    ],
)
def test_nextpnr_is_told_the_board_s_own_device(key, place):
    assert board(key).place == place
