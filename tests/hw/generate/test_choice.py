"""Which hardware is meant: presets, boards, compiled directories, and settings on top of them."""

import json
from dataclasses import replace

import pytest

from hw.contract.boards import BOARDS
from hw.contract.fingerprint import fingerprint
from hw.contract.presets import PRESETS, preset
from hw.generate.choice import MANIFEST, SETTINGS, choose, settings_between


def compiled(directory, params, **other):
    """Write the manifest of a program for `params`, as the compiler does, and return its place."""
    directory.mkdir(exist_ok=True)
    manifest = {"params": params.as_dict(), "fingerprint": fingerprint(params), "kind": "model"}
    manifest |= other
    (directory / MANIFEST).write_text(json.dumps(manifest))
    return directory


def test_by_default_it_is_the_preset_edge():
    choice = choose()
    assert (choice.params, choice.origin, choice.clock_mhz) == (preset("edge"), "preset edge", 100)


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_has_hardware_a_part_and_a_clock(board):
    choice = choose(board=board)
    assert choice.params == BOARDS[board].params
    assert choice.clock_mhz == BOARDS[board].clock_mhz
    assert (
        BOARDS[board]
        .part.lower()
        .startswith({"ecp5": "lfe5u", "xilinx": "xc"}[BOARDS[board].family])
    )


def test_settings_come_on_top_of_each_of_them(tmp_path):
    directory = compiled(tmp_path / "program", replace(preset("test"), tokens=1))
    settings = ["lanes=32", "axi_data_width=64", "weight_widths=8,4", "skip_silent=false"]
    for base, asked in (
        (preset("edge"), {"named": "edge"}),
        (BOARDS["kv260"].params, {"board": "kv260"}),
        (replace(preset("test"), tokens=1), {"compiled": directory}),
    ):
        wanted = replace(base, lanes=32, axi_data_width=64, weight_widths=(8, 4), skip_silent=False)
        choice = choose(**asked, settings=settings)
        assert choice.params == wanted
        assert choice.fingerprint == fingerprint(wanted)


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", PRESETS)
def test_settings_lead_from_a_board_to_any_hardware(board, name):
    of_preset = replace(preset(name), weight_widths=(8,), skip_silent=False, array="mac")
    settings = settings_between(of_preset, BOARDS[board].params)
    assert choose(board=board, settings=settings).params == of_preset
    assert not settings_between(of_preset, of_preset)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["lanes=12"], "lanes must be a power of two from 4 to 256, not 12"),
        (["lanes=x"], "lanes must be a whole number, not 'x'"),
        (["lanes=1_6"], "lanes must be a whole number, not '1_6'"),
        (["lanes=16", "lanes=8"], "--set must name lanes once, not twice"),
        (["skip_silent=no"], "skip_silent must be true or false, not 'no'"),
        (["array=fast"], "array must be spike or mac, not 'fast'"),
        (
            ["weight_widths=8;4"],
            "weight_widths must be whole numbers with commas between, such as 8,4,2, not '8;4'",
        ),
        (["lanes"], "--set takes NAME=VALUE, such as lanes=32, not 'lanes'"),
        (["ports=2"], f"--set knows {', '.join(SETTINGS)}, not 'ports'"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(settings, sentence):
    with pytest.raises(ValueError) as told:
        choose(settings=settings)
    assert str(told.value) == sentence


@pytest.mark.parametrize("clock", [1e-9, 0.9, 1001, 1e300, float("nan")])
def test_a_clock_that_no_tool_would_take_is_one_sentence(clock):
    with pytest.raises(ValueError) as told:
        choose(clock_mhz=clock)
    assert str(told.value) == f"the clock must be 1 to 1000 MHz, not {clock:g}"


def test_an_empty_name_is_no_preset():
    with pytest.raises(ValueError, match="^preset must be one of datacenter, edge, test, not ''$"):
        choose(named="")


def test_an_unknown_board_is_one_sentence():
    with pytest.raises(ValueError, match="^board must be one of arty-a7-100t, .*, not 'x'$"):
        choose(board="x")


def test_a_directory_that_is_not_compiled_is_one_sentence(tmp_path):
    said = f"{tmp_path} has no manifest.json: name a directory of python -m compiler build"
    with pytest.raises(ValueError) as told:
        choose(compiled=tmp_path)
    assert str(told.value) == said
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ValueError, match="manifest.json cannot be read .*: build the model again$"):
        choose(compiled=tmp_path)
    for broken in ("[]", "{}", '{"params": {"lanes": 8}, "fingerprint": "0"}', '{"params": 1}'):
        (tmp_path / MANIFEST).write_text(broken)
        with pytest.raises(ValueError, match="hardware"):
            choose(compiled=tmp_path)


def test_a_program_of_another_version_is_refused(tmp_path):
    directory = compiled(tmp_path, preset("test"), fingerprint="0" * 64)
    with pytest.raises(ValueError, match="is compiled for hardware 0+, but this version makes "):
        choose(compiled=directory)
