"""Synthesis for an ECP5: where Yosys' mapper fails or joins two nets, there is a second way."""

from pathlib import Path

import pytest

from hw.generate import yosys

CONFLICT = "Warning: multiple conflicting drivers for top.\\a:"


def synthesize(monkeypatch, *outcomes):
    """Synthesize, each run of Yosys ending so; return what that returns, and the runs' commands."""
    runs = []

    def run(commands, directory):
        runs.append(commands)
        outcome = outcomes[len(runs) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(yosys, "run", run)
    return yosys.synthesize_ecp5(["read_rtlil a.il"], "top", "write_json a.json", Path()), runs


def test_one_way_is_enough_where_it_goes_well(monkeypatch):
    log, runs = synthesize(monkeypatch, "well")
    assert log == "well"
    assert runs == [["read_rtlil a.il", "synth_ecp5 -top top", "check", "write_json a.json"]]


@pytest.mark.parametrize("first", [yosys.YosysError("an assertion"), CONFLICT])
def test_the_second_way_is_taken(first, monkeypatch):
    log, runs = synthesize(monkeypatch, first, "well")
    assert log == "well"
    assert runs[1][-2:] == ["check", "write_json a.json"] and "opt_clean -purge" in runs[1]


def test_a_net_with_two_drivers_is_never_handed_on(monkeypatch):
    with pytest.raises(yosys.YosysError, match="^Yosys made a net with two drivers of top$"):
        synthesize(monkeypatch, CONFLICT, CONFLICT)
