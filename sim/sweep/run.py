"""Runs a sweep: what is asked for, the rows that are not there yet, and the files of the result."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distributed import Client
from distributed.scheduler import KilledWorker

from compiler.boards.board import boards
from golden.checkpoint.checkpoint import Checkpoint
from golden.console.places import outputs
from golden.console.version import about
from golden.recipe.recipe import load_recipe
from sim.check.origin import load_checkpoint
from sim.errors import HardwareFault, ToolError
from sim.runs.place import LOCK, alone, file_name
from sim.sweep import cluster, figure, grid, pareto, table
from sim.sweep.firing import Firing, fire_all
from sim.sweep.grid import Configuration
from sim.sweep.measure import FAMILY, Conditions, measure
from sim.sweep.request import SweepRequest, configurations, prompt_of

__all__ = ["FILES", "LOG", "sweep"]

FILES = {"rows": "sweep.parquet", "plot": "pareto.svg", "summary": "sweep.json"}
"""What a sweep leaves in its directory, beside the log."""
LOG = "rows.jsonl"
"""Every row that was ever found in a directory."""

_MODEL, _LAYERS = "smollm2-135m", "attn0,mlp0"


def sweep(
    request: SweepRequest,
    *,
    say: Callable[[str], None] = lambda _doing: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[dict[str, Any], list[dict[str, Any]], Path]:
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
    points = configurations(request)
    recipes = {name: load_recipe(name) for name in dict.fromkeys(p.recipe for p in points)}
    layers = (request.layer or _LAYERS).split(",")
    conditions = Conditions(timing=request.timing, board=request.board)
    with ExitStack() as until_the_end:
        client = None
        cluster.require_workers(request.scheduler, request.workers)
        if request.scheduler is not None:  # what does not answer is refused at once
            say(f"connecting to {request.scheduler}")
            client = until_the_end.enter_context(cluster.connect(request.scheduler, 0))
        checkpoint = load_checkpoint(request.model or _MODEL, say)
        directory = _directory(request, checkpoint, layers)
        prompt, tokens = prompt_of(request, checkpoint, points)
        firings = fire_all(checkpoint, recipes, layers, prompt, tokens, say)
        rows = [_begun(point, tokens, firings[point.recipe], conditions) for point in points]
        until_the_end.enter_context(_alone(directory))
        for file in FILES.values():  # an older sweep's must not stand for this one's
            (directory / file).unlink(missing_ok=True)
        log = table.Log(directory / LOG)
        missing = [index for index, row in enumerate(rows) if row["key"] not in log.rows]
        for index in list(missing):
            if isinstance(reason := firings[points[index].recipe], str):
                log.add(rows[index] | {"status": "refused", "reason": reason})
                missing.remove(index)
        workers = 0
        failed: dict[str, dict[str, Any]] = {}
        if missing:
            if client is None:
                say(f"starting {request.workers} workers")
                client = until_the_end.enter_context(cluster.connect(None, request.workers))
            workers = cluster.worker_count(client)
            say("cycle device")
            _measure(client, points, rows, missing, firings, conditions, log, failed, progress)
        finished = [(failed.get(row["key"]) or log.rows[row["key"]]) for row in rows]
        if not _count(finished, "measured"):
            reason = finished[0]["reason"]
            which = f"none of {len(finished):,} configurations can"
            if len(finished) == 1:
                which = "the only configuration cannot"
            raise ValueError(f"{which} be measured: {reason}")
        simulated = _count([finished[index] for index in missing], "measured")
        facts = _facts(request, checkpoint, layers, prompt, tokens)
        seconds = round(time.monotonic() - begin, 3)
        summary = _summary(
            facts, finished, simulated=simulated, workers=workers, seconds=seconds
        ) | {"ignored_lines": log.ignored}
        table.write_parquet(finished, facts, directory / FILES["rows"])
        drawn = figure.draw(finished, summary)
        table.replace_whole(directory / FILES["plot"], lambda part: part.write_text(drawn))
        text = json.dumps(summary, indent=1) + "\n"
        table.replace_whole(directory / FILES["summary"], lambda part: part.write_text(text))
    return summary, finished, directory


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Work alone in a directory; where that fails before any row is measured, leave nothing."""
    made = not directory.exists()
    with alone(directory):
        try:
            yield
        except BaseException:
            log = table.Log(directory / LOG)
            if not log.ignored and not _count([*log.rows.values()], "measured"):
                (directory / LOG).unlink(missing_ok=True)
                (directory / LOCK).unlink(missing_ok=True)
                if made and not any(directory.iterdir()):
                    directory.rmdir()
            raise


def _directory(request: SweepRequest, checkpoint: Checkpoint, layers: list[str]) -> Path:
    names = (checkpoint.config.name, ",".join(layers))
    return request.output or outputs("sweep").joinpath(*map(file_name, names))


def _facts(
    request: SweepRequest, checkpoint: Checkpoint, layers: list[str], prompt: str, tokens: int
) -> dict[str, Any]:
    """Return what all rows have in common."""
    return {
        "model": checkpoint.config.name,
        "layers": layers,
        "preset": request.preset or "edge",
        "grid": grid.parse(request.axes),
        "prompt": prompt,
        "prompt_tokens": tokens,
        **request.timing.told(),
        "board": request.board,
        "fpga_family": boards()[request.board].family if request.board else FAMILY,
        **about(),
        "code": cluster.CODE,
    }


def _summary(
    facts: dict[str, Any],
    rows: list[dict[str, Any]],
    *,
    simulated: int,
    workers: int,
    seconds: float,
) -> dict[str, Any]:
    return {
        **facts,
        "configurations": len(rows),
        **{status: _count(rows, status) for status in ("measured", "refused", "failed")},
        "simulated": simulated,
        "workers": workers,
        "wall_seconds": seconds,
        "pareto": {name: pareto.fronts(rows, by) for name, by in pareto.FRONTS.items()},
        "reasons": _reasons(rows),
        "rows": rows,
    }


def _begun(
    point: Configuration, tokens: int, firing: Firing | str, conditions: Conditions
) -> dict[str, Any]:
    """Return what is known of a row before it is measured."""
    follows_from = {
        "configuration": asdict(point),
        "work": firing if isinstance(firing, str) else firing.digest(),
        "conditions": asdict(conditions),
        **about(),
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
    rows: list[dict[str, Any]],
    missing: list[int],
    firings: dict[str, Firing | str],
    conditions: Conditions,
    log: table.Log,
    failed: dict[str, dict[str, Any]],
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


def _count(rows: list[dict[str, Any]], status: str) -> int:
    return sum(row["status"] == status for row in rows)


def _reasons(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
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
