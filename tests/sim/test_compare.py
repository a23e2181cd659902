"""``python -m sim compare``: what two runs have apart."""

import json

import numpy as np
import pytest

from sim.__main__ import main
from sim.runs.compare import compare


def run(*arguments) -> int:
    try:
        return main([*map(str, arguments)])
    except SystemExit as end:
        return end.code


@pytest.fixture
def layer(stories260k, tmp_path):
    """Return what runs a layer into a directory."""

    def make(name, *options):
        common = ("run", "--model", "stories260k", "--preset", "test", "--layer", "k0")
        assert run(*common, *options, "-o", tmp_path / name) == 0
        return tmp_path / name

    return make


def test_two_devices_do_the_same(layer, capsys):
    a, b = layer("a", "--device", "functional"), layer("b", "--device", "cycle")
    capsys.readouterr()
    assert run("compare", a, b) == 0
    shown = capsys.readouterr().out
    assert "device" in shown and "functional" in shown and "the same: " in shown
    found = compare(a, b)
    assert [finding.name for finding in found.options] == ["device"]


def test_another_coding_takes_other_cycles(layer, capsys):
    a, b = (layer(coding, "--device", "cycle", "--coding", coding) for coding in ("csd", "unary"))
    capsys.readouterr()
    assert run("compare", a, b, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    reports = [json.loads((place / "report.json").read_text()) for place in (a, b)]
    cycles = next(result for result in found["results"] if result["name"] == "cycles")
    assert [cycles["a"], cycles["b"]] == [report["cycles"] for report in reports]
    assert cycles["difference"] == reports[1]["cycles"] - reports[0]["cycles"]
    assert not [result for result in found["results"] if result["kind"] == "output"]
    assert run("compare", a, b) == 1
    more = 100 * cycles["difference"] / cycles["a"]
    assert f"{more:+.2f}%" in capsys.readouterr().out


def test_what_was_asked_for_is_compared_as_it_took_effect(layer, tmp_path):
    """Whether it was spelled out or is a default, and whether the report says it or the request."""
    functional = ("--device", "functional")
    a, b = layer("a", *functional), layer("b", *functional, "--tokens", "2", "--seed", "7")
    assert [finding.name for finding in compare(a, b).options] == ["seed"]
    c = layer("c", *functional, "--tokens", "1", "--rows", "0:8", "--clock", "7", "--no-skip")
    found = {finding.name: (finding.a, finding.b) for finding in compare(a, c).options}
    assert found.pop("fingerprint")
    assert found == {
        "skip_silent": (True, False),
        "clock_mhz": (100.0, 7.0),
        "tokens": (2, 1),
        "rows": (None, "0:8"),
    }
    compiled = layer("d", *functional)
    assert run("run", "--compiled", compiled / "compiled", *functional, "-o", tmp_path / "e") == 0
    found = {finding.name: finding.b for finding in compare(a, tmp_path / "e").options}
    assert found["compiled"] == str((compiled / "compiled").resolve())


def test_an_output_that_differs_is_named(layer):
    a, b = layer("a", "--device", "functional"), layer("b", "--device", "functional")
    with np.load(b / "outputs.npz") as archive:
        arrays = dict(archive)
    (name,) = arrays
    arrays[name][1, 3] += 1 << 15
    arrays[name][1, 7] -= 1 << 14
    np.savez(b / "outputs.npz", **arrays)
    (found,) = compare(a, b).results
    assert (found.kind, found.elements, found.difference) == ("output", 2, 0.5)
    assert found.name == f"{name}, from token 1, channel 3"
    assert found.b - found.a == 1 << 15


def test_tokens_are_compared(stories260k, tmp_path, capsys):
    places = []
    for tokens in (3, 5):
        place = tmp_path / f"{tokens}"
        story = ("generate", "--model", "stories260k", "--preset", "test", "--tokens", tokens)
        assert run(*story, "-o", place) == 0
        places.append(place)
    found = [finding for finding in compare(*places).results if finding.kind == "output"]
    assert [(finding.name, finding.a, finding.elements) for finding in found] == [
        ("tokens, from number 4", None, 2)
    ]


def test_what_is_no_run_is_refused(layer, tmp_path, capsys):
    a = layer("a", "--device", "functional")
    (tmp_path / "other.json").write_text("[]")
    capsys.readouterr()
    for path, sentence in (
        (tmp_path / "none", "there is no run {}: name the directory of one, or its report"),
        (
            tmp_path / "other.json",
            "{} is no report of a run: name one of sim run or sim generate",
        ),
    ):
        assert run("compare", a, path) == 2
        assert capsys.readouterr().err == f"python -m sim compare: {sentence.format(path)}\n"
