"""Runs a sweep: what is asked for, the rows that are not there yet, and the files of the result."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed import Client
from distributed.scheduler import KilledWorker

from compiler.build import check_coding
from compiler.lower import lower
from compiler.plan.board import boards
from golden.checkpoints import Checkpoint
from golden.recipe import Recipe, load_recipe
from hw.presets import preset
from sim import cases
from sim.activations import default_prompt, prompt_ids
from sim.errors import HardwareFault, ToolError
from sim.rtl import Timing
from sim.run import alone
from sim.sweep import cluster, figure, grid, pareto, table
from sim.sweep.firing import Firing, fire
from sim.sweep.grid import Configuration
from sim.sweep.measure import FAMILY, Conditions, measure
from sim.verilog import ROOT

__all__ = ["FILES", "SweepRequest", "sweep"]

FILES = {"rows": "sweep.parquet", "plot": "pareto.svg", "summary": "sweep.json"}
"""What a sweep leaves in its directory, beside the log ``rows.jsonl``."""

_MODEL, _LAYERS = "smollm2-135m", "attn0,mlp0"
_MOST = 100_000  # configurations


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """What to sweep: see ``python -m sim sweep --help``; None stands for the default.

    Attributes
    ----------
    axes : tuple of str
        Texts for `sim.sweep.grid.parse`.
    model, layer, preset, coding, recipe, prompt : str or None
        What is measured; the grid overrides some of it.
    prompt_tokens : int or None
        Vectors of each site, from the prompt's last token backwards.
    board : str or None
        Whose clock, FPGA and memory are taken.
    timing : Timing
        Of the memory.
    workers : int
        Processes of the cluster on this machine.
    scheduler : str or None
        Address of another cluster.
    output : Path or None
        Directory of the result.
    """

    axes: tuple[str, ...]
    model: str | None = None
    layer: str | None = None
    preset: str | None = None
    coding: str | None = None
    recipe: str | None = None
    prompt: str | None = None
    prompt_tokens: int | None = None
    board: str | None = None
    timing: Timing = Timing()
    workers: int = 2
    scheduler: str | None = None
    output: Path | None = None


def sweep(
    request: SweepRequest,
    *,
    say: Callable[[str], None] = lambda _doing: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[dict[str, object], list[dict[str, object]], Path]:
    """Measure every configuration of a grid that has no row yet, and write the result.

    Parameters
    ----------
    request : SweepRequest
        What to sweep.
    say : callable
        Is told what is being done.
    progress : callable
        Is told how many rows there are, and of how many.

    Returns
    -------
    tuple of dict, list of dict, and Path
        The summary, the rows in the grid's order (`sim.sweep.table.SCHEMA`), and the directory.

    Raises
    ------
    ValueError
        In one sentence, where the request is at fault.
    ToolError
        Where the cluster is, or a tool.
    """
    begin = time.monotonic()
    points = _configurations(request)
    recipes = {name: load_recipe(name) for name in dict.fromkeys(p.recipe for p in points)}
    layers = (request.layer or _LAYERS).split(",")
    conditions = Conditions(timing=request.timing, board=request.board)
    with ExitStack() as until_the_end:
        client = None
        if request.scheduler is not None:  # what does not answer is refused at once
            say(f"connecting to {request.scheduler}")
            client = until_the_end.enter_context(cluster.connect(request.scheduler, 0))
        checkpoint = cases.load_checkpoint(request.model or _MODEL, say)
        directory = _directory(request, checkpoint, layers)
        until_the_end.enter_context(alone(directory))
        for file in FILES.values():  # an older sweep's must not stand for this one's
            (directory / file).unlink(missing_ok=True)
        prompt, tokens = _prompt(request, checkpoint, points)
        firings = {
            name: _fire(checkpoint, recipe, layers, prompt, tokens, say)
            for name, recipe in recipes.items()
        }
        _require_one(firings)
        rows = [_begun(point, tokens, firings[point.recipe], conditions) for point in points]
        log = table.Log(directory / "rows.jsonl")
        missing = [index for index, row in enumerate(rows) if row["key"] not in log.rows]
        for index in list(missing):
            if isinstance(reason := firings[points[index].recipe], str):
                log.add(rows[index] | {"status": "refused", "reason": reason})
                missing.remove(index)
        workers = 0
        failed: dict[str, dict[str, object]] = {}
        if missing:
            if client is None:
                say(f"starting {request.workers} workers")
                client = until_the_end.enter_context(cluster.connect(None, request.workers))
            workers = len(client.nthreads())
            say("cycle device")
            _measure(client, points, rows, missing, firings, conditions, log, failed, progress)
        finished = [(failed.get(row["key"]) or log.rows[row["key"]]) for row in rows]
    facts = {
        "model": checkpoint.config.name,
        "layers": layers,
        "preset": request.preset or "edge",
        "grid": grid.parse(request.axes),
        "prompt": prompt,
        "prompt_tokens": tokens,
        **asdict(request.timing),
        "board": request.board,
        "fpga_family": boards()[request.board].family if request.board else FAMILY,
        "code": cluster.CODE,
    }
    of = {status: _count(finished, status) for status in ("measured", "refused", "failed")}
    summary = {
        **facts,
        "configurations": len(finished),
        **of,
        "simulated": len(missing),
        "workers": workers,
        "wall_seconds": round(time.monotonic() - begin, 3),
        "pareto": {name: pareto.fronts(finished, by) for name, by in pareto.FRONTS.items()},
        "reasons": _reasons(finished),
        "rows": finished,
    }
    if not of["measured"]:
        raise ValueError(
            f"none of the {len(finished)} configurations could be measured: {finished[0]['reason']}"
        )
    table.write_parquet(finished, facts, directory / FILES["rows"])
    drawn = figure.draw(finished, summary)
    table.replace_whole(directory / FILES["plot"], lambda part: part.write_text(drawn))
    text = json.dumps(summary, indent=1) + "\n"
    table.replace_whole(directory / FILES["summary"], lambda part: part.write_text(text))
    return summary, finished, directory


def _configurations(request: SweepRequest) -> list[Configuration]:
    """Return the grid's points; raises ValueError where it has a name that nothing has."""
    axes = grid.parse(request.axes)
    for name in ("coding", "recipe"):
        if name in axes and getattr(request, name) is not None:
            raise ValueError(f"{name} is in the grid: leave out --{name}")
    if request.board is not None and request.board not in boards():
        known = ", ".join(boards())
        raise ValueError(f"board must be one of {known}, not {request.board!r}")
    points = 1
    for values in axes.values():
        points *= len(values)
    if points > _MOST:
        raise ValueError(f"the grid has {points:,} configurations: give it at most {_MOST:,}")
    found = grid.configurations(
        preset(request.preset or "edge"), axes, request.coding or "csd", request.recipe or "w8"
    )
    for coding in {point.coding for point in found}:
        check_coding(coding)
    return found


def _directory(request: SweepRequest, checkpoint: Checkpoint, layers: list[str]) -> Path:
    names = (checkpoint.config.name, ",".join(layers))
    return request.output or ROOT.joinpath("build", "sweep", *map(cases.file_name, names))


def _prompt(
    request: SweepRequest, checkpoint: Checkpoint, points: list[Configuration]
) -> tuple[str, int]:
    """Return the prompt, and how many of its tokens all configurations compute."""
    prompt = request.prompt
    if prompt is None:
        prompt = default_prompt(checkpoint.config.name)
    if request.prompt_tokens is not None:
        return prompt, request.prompt_tokens
    most = max(int(point.hardware["tokens"]) for point in points)
    return prompt, max(1, min(most, len(prompt_ids(checkpoint, prompt))))


def _fire(
    checkpoint: Checkpoint,
    recipe: Recipe,
    layers: list[str],
    prompt: str,
    tokens: int,
    say: Callable[[str], None],
) -> Firing | str:
    """Return what a recipe's configurations share, or why it cannot be compiled."""
    try:
        lower(checkpoint.config, layers, recipe)
    except ValueError as error:
        return str(error)
    return fire(checkpoint, recipe, layers, prompt, tokens, say)


def _require_one(firings: dict[str, Firing | str]) -> None:
    reasons = [found for found in firings.values() if isinstance(found, str)]
    if len(reasons) == len(firings):
        raise ValueError(reasons[0])


def _begun(
    point: Configuration, tokens: int, firing: Firing | str, conditions: Conditions
) -> dict[str, object]:
    """Return what is known of a row before it is measured."""
    follows_from = {
        "configuration": asdict(point),
        "work": firing if isinstance(firing, str) else firing.digest(),
        "conditions": asdict(conditions),
        "code": cluster.CODE,
    }
    hardware = {name: point.hardware[name] for name in grid.AXES if name in point.hardware}
    return {
        **hardware,
        "coding": point.coding,
        "recipe": point.recipe,
        "prompt_tokens": tokens,
        "key": table.key(follows_from),
    }


def _measure(
    client: Client,
    points: list[Configuration],
    rows: list[dict[str, object]],
    missing: list[int],
    firings: dict[str, Firing | str],
    conditions: Conditions,
    log: table.Log,
    failed: dict[str, dict[str, object]],
    progress: Callable[[int, int], None],
) -> None:
    """Fill the log with the missing rows; a row that fails goes to `failed`, for another time."""
    shared = [found for found in firings.values() if not isinstance(found, str)]
    place = {id(found): index for index, found in enumerate(shared)}
    arguments = [
        (place[id(firings[points[index].recipe])], points[index], conditions) for index in missing
    ]
    done = len(rows) - len(missing)
    progress(done, len(rows))
    for at, found in cluster.each(client, measure, arguments, shared):
        row = rows[missing[at]]
        if isinstance(found, Exception):
            failed[row["key"]] = row | {"status": "failed", "reason": _reason(found)}
        else:
            log.add(row | found)
        done += 1
        progress(done, len(rows))


def _reason(error: Exception) -> str:
    if isinstance(error, KilledWorker):
        return "every worker that measured it died"
    if isinstance(error, (HardwareFault, ToolError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _count(rows: list[dict[str, object]], status: str) -> int:
    return sum(row["status"] == status for row in rows)


def _reasons(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return why rows have no figures, and how many each."""
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        if row["status"] != "measured":
            why = (str(row["status"]), str(row["reason"]))
            found[why] = found.get(why, 0) + 1
    return [
        {"status": status, "reason": reason, "configurations": many}
        for (status, reason), many in found.items()
    ]
