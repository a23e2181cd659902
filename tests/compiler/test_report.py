"""Reports: a page that needs nothing else, a trace that Perfetto takes, and what both hold."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from compiler.__main__ import main
from compiler.boards.board import boards
from compiler.boards.pick import pick
from compiler.passes.emit import Shards
from compiler.predict.cycles import CAUSES
from compiler.programs.plan import make_plan
from compiler.report import figures, write
from compiler.report.content import _rounded, content
from compiler.report.page import page
from compiler.report.style import number
from compiler.report.trace import UNITS, trace
from compiler.storage.directory import REPORTS
from hw.contract.presets import preset
from tests.compiler.models import RandomCheckpoint, recipe

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
WIDE = dict(hidden_size=576, ffn_size=1536, heads=9, kv_heads=3)


@pytest.fixture(scope="module")
def plan():
    config = RandomCheckpoint(0, head_dim=8).config
    return make_plan(config, params=preset("test"), recipe=recipe(), context=40)


@pytest.fixture(scope="module")
def report(plan):
    return content(plan, {"source": "of a <test>", "weights": "none"})


class Page(HTMLParser):
    """Collects what a page refers to, and holds that its tags are closed in order."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.images, self.tags = [], [], 0, set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        values = dict(attributes)
        self.addresses += [values[key] for key in ("src", "href", "srcset") if key in values]
        if tag == "img":
            self.images += 1
            assert values["alt"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_but_itself(plan, report):
    text = page(plan, report)
    found = Page(text)
    assert found.images == 8
    assert all(address.startswith("data:") for address in found.addresses)
    assert not found.tags & {"script", "iframe", "object", "embed", "base"}
    style = re.search(r"<style>(.*)</style>", text, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style
    assert "of a &lt;test&gt;" in text
    assert "No spike raster" in text


def test_a_page_with_measured_counts_has_a_raster_of_each_coding(plan, report, rng):
    counts = {f"layers.0.{site}": rng.integers(-127, 128, (2, 36)) for site in ("qkv", "down")}
    text = page(plan, report, counts)
    assert Page(text).images == 11 and "No spike raster" not in text


def test_the_same_plan_gives_the_same_page(plan, report):
    assert page(plan, report) == page(plan, report)


def test_what_the_report_holds_adds_up(plan, report):
    json.dumps(report)
    for token in report["tokens"]:
        assert token["cycles"] == sum(token["by_cause"].values())
    token = next(t for t in report["tokens"] if t["position"] == report["position"])
    layers = sum(sum(of["cycles"].values()) for of in report["layers"])
    assert layers == pytest.approx(token["cycles"], abs=20)
    products = sum(of["touched_bytes"] for of in report["products"])
    assert products == pytest.approx(token["weight_bytes"], rel=1e-3)
    memory = report["memory"]
    ends = {r["address"] + r["bytes"] for r in memory["regions"]}
    padding = sum(-end % memory["alignment_bytes"] for end in ends if end < memory["bytes"])
    assert memory["padding_bytes"] == padding > 0
    assert sum(memory["by_kind"].values()) + padding == memory["bytes"]
    assert report["memory"]["kv_cache_bytes"] == report["memory"]["by_kind"]["cache"]
    assert [m["matrix"] for m in report["matrices"]] == [
        "q", "k", "v", "o", "gate", "up", "down", "lm_head",
    ]  # fmt: skip
    assert len(report["firing"]) == 2 * 6 + 1
    for design in report["energy"]["designs"]:
        assert design["total"] == pytest.approx(sum(design["joules"].values())) and design["total"]


def test_the_memory_s_table_adds_up(plan, report):
    table = page(plan, report).partition("<h2>Memory</h2>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr><td>([\w ]+)</td><td>(?:<b>)?([\d,]+)", table)
    numbers = {name: int(number.replace(",", "")) for name, number in rows}
    assert numbers.pop("in all") == sum(numbers.values()) == report["memory"]["bytes"]


@pytest.mark.parametrize(
    ("shares", "whole"),
    [
        ((1.4, 1.4, 1.4, 1.4, 1.4, 0), (2, 2, 1, 1, 1, 0)),
        ((0.6, 0.6, 0.6, 0, 0, 0), (1, 1, 0, 0, 0, 0)),
        ((2, 0.5, 3, 0.7, -1e-12, 0), (2, 0, 3, 1, 0, 0)),
    ],
)
def test_whole_cycles_by_cause_are_those_of_all(shares, whole):
    found = _rounded(dict(zip(CAUSES, shares, strict=True)))
    assert tuple(found.values()) == whole


def test_weights_that_the_ledger_does_not_know_have_no_joules():
    config = RandomCheckpoint(0, head_dim=8).config
    binary = make_plan(config, params=preset("test"), recipe=recipe(weight_bits=2), context=40)
    found = content(binary, {"source": "of a test", "weights": "none"})
    assert "energy" not in found
    assert "<h2>Energy</h2>" not in page(binary, found)


def test_joules_are_shown_to_three_digits_in_a_unit_that_suits(plan, report):
    text = page(plan, report).partition("<h2>Energy</h2>")[2].partition("<h2>")[0]
    table, _, below = text.partition("</table>")
    unit = {"µJ": 1e-6, "nJ": 1e-9}[re.search(r"in all, (\w+)", table)[1]]
    rows = re.findall(r"<tr[^>]*><td>(.*?)</td>(.*?)</tr>", table)
    assert len(rows) == len(report["energy"]["designs"])
    for (name, cells), design in zip(rows, report["energy"]["designs"], strict=True):
        values = re.findall(r"<td>(?:<b>)?([^<]+)", cells)
        shown = [unit * float(value.replace(",", "")) for value in values]
        assert name == design["name"]
        assert shown == pytest.approx([design["total"], *design["joules"].values()], rel=0.005)
    assert "The dense arrays are a best case, their sums in registers" in below


@pytest.mark.parametrize(("hardware", "changes"), [("test", {}), ("edge", WIDE)])
def test_the_roofline_s_points_are_seen_and_its_axes_can_be_read(monkeypatch, hardware, changes):
    config = RandomCheckpoint(0, head_dim=8, **changes).config
    plan = make_plan(config, params=preset(hardware), recipe=recipe(), context=40)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    monkeypatch.setattr(figures, "svg", lambda draw, width, height: draw(figure))
    figures.roofline(plan, content(plan, {"source": "of a test", "weights": "none"}))
    canvas, (axes,) = FigureCanvasAgg(figure), figure.axes

    def pixels():
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)

    for axis in (axes.xaxis, axes.yaxis):
        canvas.draw()
        low, high = axis.get_view_interval()
        labels = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
        assert sum(low <= at <= high and bool(label.get_text()) for at, label in labels) >= 3
    figure.set_layout_engine("none")  # as it was laid out, whatever is hidden
    points = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert len(points) == 10 == len({point.get_marker() for point in points})
    roofs = [line for line in axes.lines if line not in points]
    adders = plan.params.lanes * plan.params.tokens
    assert [max(roof.get_ydata()) for roof in roofs] == [adders, plan.params.lanes]

    def seen(point, others):
        """Return how many pixels a point colours, drawn with others."""
        drawn = []
        for visible in ([*others, point], others):
            for each in points:
                each.set_visible(each in visible)
            drawn.append(pixels())
        return (np.abs(drawn[0] - drawn[1]).max(axis=2) > 30).sum()

    for point in points:
        others = [other for other in points if other is not point]
        alone = seen(point, [])
        assert seen(point, others) >= 0.5 * alone > 0, f"{point.get_label()} is hidden"


def test_padding_is_in_the_memory_map_s_legend(plan, report, monkeypatch):
    figure = Figure(figsize=(8.6, 1.4), layout="constrained")
    monkeypatch.setattr(figures, "svg", lambda draw, width, height: draw(figure))
    figures.memory(plan, report)
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names[-1] == "padding" and "weights" in names


def test_the_page_names_its_preset_or_board(plan, report):
    assert report["preset"] == "test" and "Preset test: 8 lanes" in page(plan, report)
    own = replace(plan, params=replace(plan.params, fetch_depth=256))
    found = content(own, {"source": "of a test", "weights": "none"})
    assert found["preset"] is None and "Preset" not in page(own, found)


def test_a_plan_on_a_board_has_its_clock_memory_and_forecast():
    config = RandomCheckpoint(0, head_dim=8).config
    picked = pick("arty-a7-100t", config, recipe())
    plan = make_plan(
        config, params=picked.params, recipe=recipe(), words_a_cycle=picked.words_a_cycle
    )
    found = content(plan, {"source": "of a test", "weights": "none"}, picked)
    on, board = found["board"], boards()["arty-a7-100t"]
    json.dumps(found)
    offered = board.bytes_per_second / (on["params"]["axi_data_width"] // 8 * 100e6)
    assert on["words_a_cycle"] == min(1.0, offered)
    token = next(t for t in found["tokens"] if t["position"] == found["position"] == 63)
    assert on["one_core_tokens_per_second"] == pytest.approx(100e6 / token["cycles"], rel=1e-4)
    assert on["cores"] == 1 and on["tokens_per_second"] == on["one_core_tokens_per_second"]
    (csd,) = (d for d in found["energy"]["designs"] if d["name"] == "spike array, csd")
    assert on["joules_per_token"] == pytest.approx(csd["total"])
    assert "DRAM as DDR3 at 20.3 pJ" in found["energy"]["note"]
    text = page(plan, found)
    Page(text)
    assert "Picked for the board Arty A7-100T: " in text
    section = unescape(text).partition("<h2>On the board</h2>")[2].partition("<h2>")[0]
    for part in ("Arty A7-100T, 100 MHz", f"<b>{on['bound']}</b>", on["reason"], on["note"]):
        assert part in section
    for key in ("tokens_per_second", "prompt_seconds"):
        assert f"<b>{number(on[key])}" in section


def test_the_trace_is_in_the_trace_event_format(plan):
    """Of the format's documentation: metadata events, and complete events in microseconds."""
    found = json.loads(json.dumps(trace(plan)))
    assert found["displayTimeUnit"] in ("ms", "ns")
    complete = [event for event in found["traceEvents"] if event["ph"] == "X"]
    named = [event for event in found["traceEvents"] if event["ph"] == "M"]
    assert len(complete) + len(named) == len(found["traceEvents"])
    assert {e["args"]["name"] for e in named if e["name"] == "thread_name"} == set(UNITS)
    for event in complete:
        assert {"name", "cat", "ph", "pid", "tid", "ts", "dur", "args"} == event.keys()
        assert isinstance(event["pid"], int) and event["tid"] in range(1, len(UNITS) + 1)
        assert event["ts"] >= 0 and event["dur"] > 0
    assert len(complete) == len(plan.program.executed)
    for track in range(1, len(UNITS) + 1):  # a track's events do not overlap
        own = sorted((e["ts"], e["ts"] + e["dur"]) for e in complete if e["tid"] == track)
        assert all(a[1] <= b[0] + 0.2 for a, b in zip(own, own[1:], strict=False))


def test_a_build_leaves_its_reports_and_can_be_built_again(tmp_path, capsys):
    target = tmp_path / "plan"
    for _ in range(2):
        assert main(["build", "stories260k", "--weights", "none", "-o", str(target)]) == 0
    assert {file.name for file in target.iterdir()} == {
        "manifest.json", "program.bin", "report.html", "report.json", "trace.json",
    }  # fmt: skip
    assert main(["verify", str(target)]) == 0
    assert main(["show", str(target)]) == 0
    assert "report.html" in capsys.readouterr().out


def test_what_a_kill_left_of_a_report_does_not_lock_the_directory(tmp_path):
    target = tmp_path / "plan"
    command = ["build", "stories260k", "--weights", "none", "-o", str(target)]
    assert main(command) == 0
    (target / ".report.html.partial").touch()
    assert main(command) == 0
    assert not (target / ".report.html.partial").exists()


def limited(length, *arguments):
    """Run the compiler where no file may be longer; returns its status and stderr."""
    script = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({length}, {length}))\n"
        "from compiler.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    return done.returncode, done.stderr


def test_a_plan_whose_report_cannot_be_written_leaves_nothing(tmp_path):
    target = tmp_path / "plan"
    options = ("--preset", "test", "--weights", "none", "-o", target)
    assert limited(150_000, "build", "stories260k", *options) == (
        2,
        (
            f"python -m compiler build: {target}/report.html cannot be used (File too large): "
            "raise the limit of a file's length, or name another place\n"
        ),
    )
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_report_cannot_be_written_waits_for_it(
    tmp_path, capsys, stories260k, monkeypatch
):
    target = tmp_path / "model"
    command = ["build", str(stories260k), "--preset", "test", "--context", "16", "-o", str(target)]
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "report.html")

    def refuses(path, text):
        if path.name == "report.html":
            raise full
        path.write_bytes(text)

    with monkeypatch.context() as patch:
        patch.setattr(write, "write_file", refuses)
        assert main(command) == 2
    assert capsys.readouterr().err == (
        "python -m compiler build: report.html: No space left on device; what is done is kept, and "
        "the same command goes on from there\n"
    )
    assert not target.exists()
    written, real = [], Shards.write
    monkeypatch.setattr(
        Shards,
        "write",
        lambda self, region, *raw: written.append(region.name) or real(self, region, *raw),
    )
    assert main(command) == 0
    assert written == ["records"]  # which no line of the journal is for
    assert {file.name for file in target.iterdir()} >= {"weights-00000.bin", *REPORTS}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to draw the page: see CONTRIBUTING.md")
def test_a_browser_draws_every_figure(plan, report, tmp_path):
    from matplotlib.image import imread

    file, picture, log = (tmp_path / name for name in ("page.html", "page.png", "net.json"))
    file.write_text(page(plan, report))
    subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--no-first-run",
            "--window-size=1000,6600", f"--user-data-dir={tmp_path / 'profile'}",
            f"--log-net-log={log}", f"--screenshot={picture}", file.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )  # fmt: skip
    drawn = imread(picture)[..., :3]
    height = np.flatnonzero((drawn < 0.9).any(axis=(1, 2)))[-1]
    assert 2500 < height < 6500  # the figures take their room, and all of the page is seen
    coloured = (drawn.max(axis=2) - drawn.min(axis=2) > 0.15).mean()
    assert coloured > 0.02
    asked = set(re.findall(r'"url":"(https?://[^"]+)"', log.read_text()))
    assert not {url for url in asked if "page" in url or "svg" in url}
