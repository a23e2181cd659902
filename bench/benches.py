"""Runs the benches that are asked for, and prints their tables."""

import argparse
import time

import torch

from bench import (
    area,
    arrays,
    dram,
    front,
    profile,
    reports,
    roofline,
    sim_speed,
    stream,
    timing,
    tokens,
)
from bench.docs import write_docs
from bench.grammar import BENCHES
from bench.tables import TABLES
from golden.console.progress import Work

__all__ = ["run"]

_MODULES = {
    "roofline": roofline,
    "tokens": tokens,
    "profile": profile,
    "front": front,
    "arrays": arrays,
    "area": area,
    "timing": timing,
    "dram": dram,
    "sim_speed": sim_speed,
    "stream": stream,
}


def run(options: argparse.Namespace) -> None:
    """Run each bench, or take its last report."""
    names = options.names or [*BENCHES]
    for name in names:
        if name not in BENCHES:
            raise ValueError(f"bench must be one of {', '.join(BENCHES)}, not {name!r}")
    for name in names:
        _run(name, options)


def _run(name: str, options: argparse.Namespace) -> None:
    path = None
    if options.from_reports:
        report = reports.read(name, options.output)
    else:
        report = _measure(name, options)
        path = reports.write(name, report, options.output)
    try:
        table = TABLES[name](report)
    except (LookupError, TypeError):
        file = options.output / f"{name}.json"
        raise ValueError(f"{file} is no report of this bench: run python -m bench {name}") from None
    print(f"# {name}\n\n{table}\n")
    if path is not None:
        print(f"report: {path}")
    if options.docs:
        for written in write_docs(name, options.output):
            print(f"written: {written}")


def _measure(name: str, options: argparse.Namespace) -> dict[str, object]:
    torch.set_num_threads(1)  # threads waiting for each other would disturb what is measured
    choices: dict[str, object] = {}
    if options.model and name not in ("area", "timing", "stream"):
        choices["model"] = options.model
    if options.text and name in ("profile", "front"):
        choices["text"] = options.text
    if options.preset:
        choices |= {
            "profile": {"preset_name": options.preset},
            "roofline": {"preset_name": options.preset},
            "tokens": {"preset_name": options.preset},
            "arrays": {"preset_name": options.preset},
            "area": {"array_preset": options.preset, "tops": (options.preset,)},
            "timing": {"presets": (options.preset,)},
            "sim_speed": {"presets": (options.preset,)},
        }.get(name, {})
    if name == "timing" and options.blocks:
        choices["blocks"] = tuple(options.blocks.split(",")) if options.blocks != "none" else ()
    if name == "timing" and options.whole:
        choices["configurations"] = tuple(options.whole.split(","))
    if name == "timing" and options.seeds:
        choices["seeds"] = tuple(_whole(seed) for seed in options.seeds.split(","))
    machine = reports.about_machine()
    begin = time.perf_counter()
    with Work(name) as work:
        report = _MODULES[name].measure(say=lambda doing: work.say(f"{name}: {doing}"), **choices)
    return {"machine": machine, "total_seconds": round(time.perf_counter() - begin, 1), **report}


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"seeds must be whole numbers, separated by commas, not {text!r}")
    return int(text)
