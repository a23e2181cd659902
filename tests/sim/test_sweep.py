"""The command: its files, rows that are there already, refusals. Workers are threads here."""

import json

import pyarrow.parquet
import pytest
from distributed import LocalCluster

from golden.checkpoint.checkpoint import load
from golden.console.version import about
from golden.recipe.recipe import load_recipe
from hw.contract.presets import preset
from sim.sweep import cluster, run, table
from sim.sweep.firing import fire
from sim.sweep.grid import configurations, parse
from sim.sweep.measure import measure
from tests.sim.sweep_cases import CONDITIONS, sweep

GRID = ("lanes=8,16,3", "tokens=1,2", "coding=csd,unary")


@pytest.fixture(scope="module")
def scheduler():
    """Return the address of a cluster inside this process."""
    with LocalCluster(
        n_workers=2,
        processes=False,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
    ) as here:
        yield here.scheduler_address


@pytest.fixture
def command(stories260k, scheduler, tmp_path):
    """Return the arguments of a quick sweep, but for its grid."""
    common = ("--model", "stories260k", "--preset", "test", "--layer", "mlp1")
    return (*common, "--scheduler", scheduler, "-o", str(tmp_path / "out"), "--grid")


def parquet(directory):
    return pyarrow.parquet.read_table(directory / "sweep.parquet")


def test_rows_are_those_of_direct_calls(command, stories260k, tmp_path, capsys):
    assert sweep(*command, *GRID) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "8 configurations measured, 4 refused, 0 failed" in shown
    assert "4 refused: lanes must be a power of two from 4 to 256, not 3" in shown
    made = parquet(tmp_path / "out")
    assert made.schema.names == table.SCHEMA.names
    work = fire(load(stories260k), load_recipe("auto"), ["mlp1"], "Once upon a time", 2)
    points = configurations(preset("test"), parse(GRID), "csd", "auto")
    rows = made.to_pylist()
    assert len(rows) == len(points) == 12
    for row, point in zip(rows, points, strict=True):
        want = measure(work, point, CONDITIONS)
        assert {name: row[name] for name in want} == want
        hardware = point.hardware | {"coding": point.coding, "recipe": "auto", "prompt_tokens": 2}
        del hardware["weight_widths"]
        assert {name: row[name] for name in hardware} == hardware
    facts = json.loads(made.schema.metadata[b"spikeloom"])
    assert (facts["model"], facts["prompt_tokens"]) == ("stories260k", 2)
    assert (facts["code"], facts["latency"]) == (cluster.CODE, 60)
    assert about().items() <= facts.items()
    summary = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert {r["key"]: r["status"] for r in summary["rows"]} == {
        row["key"]: row["status"] for row in rows
    }
    (on,) = summary["pareto"]["cycles_luts"].values()
    assert on and all(rows[index]["coding"] == "csd" for index in on)
    plot = (tmp_path / "out" / "pareto.svg").read_text()
    assert "<svg" in plot and "8 accelerators" in plot
    assert not list((tmp_path / "out").glob("*.part"))


def test_what_is_there_is_not_measured_again(command, tmp_path, capsys, monkeypatch):
    assert sweep(*command, *GRID) == 0
    files = [tmp_path / "out" / name for name in ("sweep.parquet", "pareto.svg")]
    before = [file.read_bytes() for file in files]
    log = tmp_path / "out" / "rows.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:5]) + lines[5][:40])  # killed while it wrote its sixth row
    asked = []
    each = cluster.each

    def counted(client, function, arguments, shared):
        asked.append(len(arguments))
        return each(client, function, arguments, shared)

    monkeypatch.setattr(cluster, "each", counted)
    assert sweep(*command, *GRID) == 0
    assert [file.read_bytes() for file in files] == before
    assert sweep(*command, *GRID) == 0
    assert sweep(*command, *GRID, "--latency", "61") == 0  # another request
    assert sweep(*command, *GRID[:2]) == 0  # a part of the first
    assert asked == [7, 12]
    capsys.readouterr()


def test_what_cannot_be_measured_leaves_what_was(command, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert sweep(*command, "lanes=3") == 2
    assert [*(tmp_path / "out").iterdir()] == []
    assert sweep(*command, "lanes=8") == 0
    assert "mlp1: 1 configuration measured" in capsys.readouterr().out
    log = (tmp_path / "out" / "rows.jsonl").read_text()
    assert sweep(*command, "lanes=3") == 2
    assert (tmp_path / "out" / "rows.jsonl").read_text().startswith(log)


def test_lines_that_are_no_rows_are_told_and_ignored(command, tmp_path, capsys):
    assert sweep(*command, "lanes=8,16") == 0
    log = tmp_path / "out" / "rows.jsonl"
    first, second = log.read_text().splitlines()
    row = json.loads(first)
    broken = [json.dumps(row | {"cycles": "many"}), json.dumps({"key": row["key"]}), "[", second]
    log.write_text("\n".join(broken) + "\n")
    capsys.readouterr()
    assert sweep(*command, "lanes=8,16", "--json") == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert (summary["ignored_lines"], summary["simulated"]) == ([1, 2, 3], 1)
    assert printed.err == (
        f"python -m sim sweep: {log} holds 3 lines without a whole row, the first at line 1: "
        "ignored, and measured anew where asked for\n"
    )


def test_what_other_code_measured_is_measured_again(command, tmp_path, monkeypatch, capsys):
    assert sweep(*command, "lanes=8") == 0
    monkeypatch.setattr(cluster, "CODE", "0" * 64)
    assert sweep(*command, "lanes=8", "--json") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed[printed.index("{") :])["simulated"] == 1


def test_a_configuration_that_fails_is_told_and_tried_again(command, tmp_path, monkeypatch, capsys):
    def broken(firing, configuration, conditions):
        if configuration.hardware["lanes"] == 16:
            raise RuntimeError("it broke")
        return measure(firing, configuration, conditions)

    monkeypatch.setattr(run, "measure", broken)
    assert sweep(*command, "lanes=8,16") == 1
    assert capsys.readouterr().err == "python -m sim sweep: 1 failed: RuntimeError: it broke\n"
    good, bad = parquet(tmp_path / "out").to_pylist()
    assert (good["status"], good["reason"]) == ("measured", None)
    assert (bad["status"], bad["reason"], bad["cycles"]) == (
        "failed",
        "RuntimeError: it broke",
        None,
    )
    monkeypatch.undo()
    assert sweep(*command, "lanes=8,16") == 0
    assert [r["status"] for r in parquet(tmp_path / "out").to_pylist()] == ["measured"] * 2


def test_a_recipe_that_cannot_be_compiled_is_a_row(command, tmp_path):
    assert sweep(*command, "recipe=w8,sparse,w4") == 0
    rows = parquet(tmp_path / "out").to_pylist()
    assert [row["status"] for row in rows] == ["measured", "refused", "measured"]
    assert rows[1]["reason"].startswith("recipe sparse has a dead_quantile")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rows=8"], "an axis of the grid must be one of "),
        (["coding=morse"], "coding must be one of unary, bitwise, csd, not 'morse'"),
        (["lanes=3"], "the only configuration cannot be measured: lanes must be a power of two"),
        (["lanes=3,5"], "none of 2 configurations can be measured: lanes must be a power of two"),
        (["recipe=nowhere"], "there is no recipe nowhere"),
        (["recipe=sparse"], "recipe sparse has a dead_quantile"),
        (["coding=csd", "--coding", "csd"], "coding is in the grid: leave out --coding"),
        (["lanes=8", "--board", "desk"], "board must be one of arty-a7-100t, "),
        (["lanes=8", "--prompt-tokens", "99"], "tokens must be 1 to "),
        (["lanes=8", "--layer", "mlp99"], ""),
        (["lanes=" + ",".join(map(str, range(400))), "banks=" + ",".join(map(str, range(400)))],
         "the grid has 160,000 configurations: give it at most 100,000"),
    ],
)  # fmt: skip
def test_refusals_are_one_sentence(command, tmp_path, capsys, arguments, sentence):
    assert sweep(*command, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith(f"python -m sim sweep: {sentence}")
    assert not (tmp_path / "out").exists()


def test_workers_to_start_and_a_scheduler_exclude_each_other(command, capsys):
    assert sweep(*command, "lanes=8", "--workers", "2") == 2
    assert "not allowed with" in capsys.readouterr().err


def test_a_failing_write_leaves_nothing(tmp_path):
    (tmp_path / "there").write_text("old")

    def fails(part):
        part.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError):
        table.replace_whole(tmp_path / "there", fails)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("there", "old")]


def test_a_board_s_table_says_what_fits_it(command, capsys):
    assert sweep(*command, "array=spike,mac", "skip_silent=true", "--board", "kv260") == 0
    shown = capsys.readouterr().out
    assert "tokens/s" in shown
    rows = [line.split() for line in shown.splitlines() if line.strip()[:1].isdigit()]
    assert rows
    for row in rows:
        assert ("?" if "mac" in row else "yes") in row, row
