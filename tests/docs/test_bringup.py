"""The bring-up page does what it says: its commands run, its tables and waves are the project's."""

import json
import re

import pytest

from hw.contract.regs import Error
from spikeloom.board.errors import ADVICE
from spikeloom.board.ways import WAYS
from tests.docs import errors, tutorial
from tools import waves

TEXT = errors.PAGE.read_text()


# What another pipeline of the same hardware changes: cycles, and the fingerprint of a contract.
MEASURED = re.compile(r"\b[\d.,]+ (?=cycles|mJ|tokens a second)|\b[0-9a-f]{16}(?=…)")


def check(step: tutorial.Step, directory) -> None:
    """Run a command, and hold what it prints against the page, but for what is measured."""
    printed = MEASURED.sub("N ", tutorial.run(step.command, directory))
    found = tutorial.difference(MEASURED.sub("N ", step.output), printed)
    assert not found, f"{step.command}\n{found}\npython -m tests.docs writes outputs anew"


def test_first_light_prints_what_it_says(stories260k, tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKELOOM_MODELS", str(stories260k.parent))
    selftest, _ = tutorial.steps(TEXT)
    assert "selftest" in selftest.command
    check(selftest, tmp_path)


@pytest.mark.full
def test_the_story_is_what_it_says(stories260k, tmp_path, monkeypatch):
    pytest.importorskip("litedram", reason="LiteX is not installed: pip install 'spikeloom[soc]'")
    monkeypatch.setenv("SPIKELOOM_MODELS", str(stories260k.parent))
    _, story = tutorial.steps(TEXT)
    assert "--transport system" in story.command and "--check golden" in story.command
    check(story, tmp_path)


def test_every_error_has_its_advice():
    assert errors.with_errors(TEXT) == TEXT, "run python -m tests.docs"
    assert ADVICE.keys() == {error.name for error in Error} - {"NONE"}
    for error in ADVICE:
        assert f"| {error} |" in TEXT


def test_every_transport_is_on_the_page():
    for kind in WAYS:
        assert f"| `{kind}" in TEXT, kind


@pytest.fixture(scope="module")
def recorded():
    return waves.recorded()


def kept(name: str) -> dict:
    """Return a waveform as it stands in docs/."""
    return json.loads((waves.SOURCES / f"{name}.json").read_text())


def events(wave: dict) -> list:
    """Return what each port does in its order, however long it takes: pipelines may change."""
    return [
        (line["name"], line["wave"].replace(".", ""), line.get("data")) for line in wave["signal"]
    ]


def test_waves_are_those_of_the_rtl(recorded):
    assert {path.stem for path in waves.SOURCES.glob("*.json")} == recorded.keys()
    for name, wave in recorded.items():
        assert events(kept(name)) == events(wave), f"{name}: run python -m tools.waves"
        assert f"figures/wave-{name}.svg" in TEXT


def test_figures_are_drawn_from_their_sources():
    for source in waves.SOURCES.glob("*.json"):
        figure = (waves.FIGURES / f"wave-{source.stem}.svg").read_text()
        assert figure == waves.drawn(kept(source.stem)), source.stem


def test_a_wave_has_the_handshakes_of_its_channels(recorded):
    lines = {line["name"]: line for line in recorded["write"]["signal"]}
    assert lines["m_axi_awaddr"]["data"] == ["1ff8", "2000"]  # cut at 4 KiB
    assert lines["m_axi_awlen"]["data"] == ["0", "2"]
    for name in ("m_axi_awvalid", "m_axi_bvalid"):
        assert lines[name]["wave"].count("1") == 2
