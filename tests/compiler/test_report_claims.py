"""What a report claims: at which clock, by which command, who wins, and by what right."""

import re
from collections import Counter
from datetime import date
from html import unescape

import numpy as np
import pytest
from matplotlib.figure import Figure

from compiler.__main__ import main
from compiler.predict.activity import assumed
from compiler.predict.workload import Activity
from compiler.programs.plan import make_plan
from compiler.report import firing, style
from compiler.report.content import content
from compiler.report.energy import verdict
from compiler.report.page import page, today
from hw.contract.presets import preset
from tests.compiler.models import RandomCheckpoint, recipe

ABOUT = {"source": "of a test", "weights": "none"}
KINDS = ("exact", "predicted", "measured", "assumed")


def planned(**choices):
    config = RandomCheckpoint(0, head_dim=8).config
    return make_plan(config, params=preset("test"), recipe=recipe(), context=40, **choices)


@pytest.mark.parametrize(("asked", "megahertz"), [(None, 100), (250.0, 250)])
def test_times_are_stated_at_a_clock(asked, megahertz):
    plan = planned()
    found = content(plan, ABOUT, clock_mhz=asked)
    assert found["clock"]["megahertz"] == megahertz
    token = next(t for t in found["tokens"] if t["position"] == found["position"])
    assert token["seconds"] == pytest.approx(token["cycles"] / (megahertz * 1e6), rel=1e-3)
    assert token["tokens_per_second"] == pytest.approx(1 / token["seconds"])
    text = page(plan, found)
    assert f"at {megahertz} MHz" in text
    assert f"<b>{style.number(token['tokens_per_second'])} tokens/s</b>" in text


def test_the_page_says_how_and_when_it_was_made(monkeypatch):
    plan = planned()
    made = {"command": "python -m compiler build x", "version": "9.8.7", "commit": "abcdef0"}
    text = page(plan, content(plan, made | ABOUT), made_on=date(2020, 2, 29))
    for part in (*made.values(), "2020-02-29"):
        assert part in text
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86399")
    assert today() == date(1970, 1, 1)


def test_a_build_s_report_has_its_command(tmp_path, monkeypatch):
    target = tmp_path / "plan"
    command = ["build", "stories260k", "--weights", "none", "--clock", "50", "-o", str(target)]
    assert main(command) == 0
    text = unescape((target / "report.html").read_text())
    assert f"python -m compiler build stories260k --weights none --clock 50 -o {target}" in text
    assert "at 50 MHz" in text


def test_a_clock_is_refused_where_nothing_states_times(capsys):
    assert main(["build", "stories260k", "--layers", "mlp0", "--clock", "50"]) == 2
    assert "--clock must be left out: mlp0 does not have it" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["build", "stories260k", "--clock", "-1"])
    assert "must be megahertz above 0, not '-1'" in capsys.readouterr().err


def design(name, total, width=8):
    return {"name": name, "total": total, "weight_width": width}


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (
            [design("dense INT8", 3e-3)],
            (
                "This build's spike array, csd takes least: 2 mJ a token. Next is dense INT8, with "
                "3 mJ, 50 % more than it."
            ),
        ),
        (
            [design("dense INT8", 1e-3), design("dense FP16", 4e-3, 16)],
            (
                "Dense INT8 takes least: 1 mJ a token, 50 % less than this build's spike array, "
                "csd (2 mJ)."
            ),
        ),
        (
            [design("dense INT4", 1e-3, 4), design("dense INT8", 2.5e-3)],
            (
                "Dense INT4 takes least: 1 mJ a token, 50 % less than this build's spike array, "
                "csd (2 mJ). Of the others with weights of 8 bits as well, dense INT8 takes "
                "least: 2.5 mJ, 25 % more than this build's."
            ),
        ),
        (
            [design("MAC array, silent channels skipped", 1.999e-3)],
            (
                "MAC array, silent channels skipped takes least: 2 mJ a token, within half a "
                "percent of this build's spike array, csd (2 mJ)."
            ),
        ),
    ],
)
def test_who_takes_least_is_said_whoever_it_is(others, said):
    own = "spike array, csd"
    assert verdict([design(own, 2e-3), *others], own) == said


@pytest.mark.parametrize(("coding", "array"), [("csd", "spike"), ("unary", "spike")])
def test_the_verdict_is_about_the_build_s_own_design(coding, array):
    plan = planned(coding=coding)
    found = content(plan, ABOUT)["energy"]
    assert found["own"] == f"spike array, {coding}"
    least = min(found["designs"], key=lambda d: d["total"])
    assert found["verdict"].lower().startswith(least["name"].lower())
    assert found["verdict"] in unescape(page(plan, content(plan, ABOUT)))


def test_every_figure_and_table_says_by_what_right(rng):
    plan = planned()
    counts = {"layers.0.qkv": rng.integers(-127, 128, (2, 36))}
    text = page(plan, content(plan, ABOUT), counts)
    mark = re.compile(r'<span class="kind (\w+)">\1</span>')
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text, re.DOTALL)
    tables = [before.rpartition("<p")[2] for before in text.split("<table>")[:-1]]
    facts = re.findall(r"<div>(<span.*?)</div>", text)
    assert len(captions) == 11 and len(tables) >= 4 and len(facts) == 6
    kinds = Counter()
    for part in (*captions, *tables, *facts):
        kinds[mark.search(part)[1]] += 1
    assert set(kinds) == set(KINDS)
    legend = text.partition('<div class="legend">')[2].partition("</div>")[0]
    assert set(mark.findall(legend)) >= {"exact", "predicted", "assumed"}


def test_a_colour_means_one_thing():
    assert len(set(style.COLOURS.values())) == len(style.COLOURS)
    assert all(family in style.COLOURS for family in style.FAMILIES)


def drawn_firing(plan, monkeypatch):
    figure = Figure(layout="constrained")
    monkeypatch.setattr(firing, "svg", lambda draw, width, height: draw(figure))
    firing.firing(plan, content(plan, ABOUT))
    return figure.axes


def test_layers_that_fire_alike_are_drawn_once(monkeypatch):
    plan = planned()
    (axes,) = drawn_firing(plan, monkeypatch)
    shares = [bar.get_width() for bar in axes.patches][::-1]
    assert shares[0] == pytest.approx(plan.activities(plan.position)(0, "qkv").silent, abs=1e-5)
    assert len(shares) == 6


def test_a_map_of_firing_is_scaled_to_what_differs(monkeypatch):
    def activities(position):
        def activity(layer, site):
            found = assumed(plan.config, recipe(), position)(layer, site)
            more = 0.02 if (layer, site) == (1, "down") else 0.0
            return Activity(silent=found.silent + more, spikes=found.spikes, source="of a test")

        return activity

    plan = planned()
    plan = planned(activities=activities)
    axes, bar = drawn_firing(plan, monkeypatch)
    (image,) = axes.images
    assert image.get_clim() == pytest.approx((-1, 1), abs=1e-3)  # points from the mean of two
    down = [label.get_text().startswith("down") for label in axes.get_yticklabels()].index(True)
    assert np.flatnonzero(np.abs(image.get_array()).max(axis=1) > 1e-3).tolist() == [down]
    assert axes.get_xlabel() == "layer" and "points from the mean" in bar.get_ylabel()
