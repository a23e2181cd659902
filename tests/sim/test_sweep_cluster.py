"""Clusters of separate processes: scheduler and workers, their deaths, and other versions."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet
import pytest
from dask import config

from sim.errors import ToolError
from sim.sweep import cluster
from sim.sweep.run import _reason
from tests.sim.sweep_cases import sweep

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60


class Processes:
    """A scheduler and workers, each a process of its own, all ended with the block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[subprocess.Popen] = []
        self._file = directory / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self._file)
        )
        self._until(lambda: self._file.exists() and self._file.stat().st_size, "no scheduler")
        self.address = json.loads(self._file.read_text())["address"]

    def worker(self, root: Path = ROOT) -> subprocess.Popen:
        """Start a worker that nobody starts again when it dies."""
        arguments = ["--nthreads", "1", "--no-nanny", "--local-directory", str(self._directory)]
        return self._start("worker", self.address, "--host", "127.0.0.1", *arguments, root=root)

    def _start(self, what: str, *arguments: str, root: Path = ROOT) -> subprocess.Popen:
        command = [sys.executable, "-m", "dask", what, *arguments, "--no-dashboard"]
        process = subprocess.Popen(
            command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._started.append(process)
        return process

    @staticmethod
    def _until(holds, sentence: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < end, sentence
            time.sleep(0.05)

    def end(self) -> None:
        """End all of them."""
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def processes(tmp_path):
    """Return a scheduler without workers."""
    started = Processes(tmp_path)
    yield started
    started.end()


@contextmanager
def client_of(processes: Processes, workers: int):
    with cluster.connect(processes.address, 0, PATIENCE_SECONDS) as client:
        client.wait_for_workers(workers, timeout=PATIENCE_SECONDS)
        yield client


def test_a_sweep_on_two_workers_and_one_more_of_another_version(
    processes, stories260k, tmp_path, capsys
):
    for _ in range(2):
        processes.worker()
    with client_of(processes, 2):
        pass
    command = ["--model", "stories260k", "--preset", "test", "--layer", "mlp0", "-o"]
    command += [str(tmp_path / "out"), "--scheduler", processes.address, "--grid", "tokens=1,2"]
    command += ["lanes=8,16,32", "banks=4,8", "coding=csd,bitwise", "--json"]
    assert sweep(*command) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["measured"], summary["workers"]) == (24, 2)
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "sweep.parquet").to_pylist()
    assert len({row["key"] for row in rows}) == 24

    other = tmp_path / "other"
    for package in ("hw", "golden", "compiler", "sim"):
        shutil.copytree(ROOT / package, other / package)
    with (other / "hw" / "contract" / "params.py").open("a") as file:
        file.write("# as it is elsewhere\n")
    with client_of(processes, 2) as client:
        processes.worker(other)
        client.wait_for_workers(3, timeout=PATIENCE_SECONDS)
    assert sweep(*command) == 2
    sentence = capsys.readouterr().err
    assert sentence.count("\n") == 1
    assert "has another version of Spikeloom" in sentence
    assert f"here {cluster.CODE[:12]}): start it anew from the same files" in sentence


def test_a_worker_that_does_not_find_spikeloom(processes, tmp_path):
    processes.worker(tmp_path)
    with pytest.raises(ToolError, match="does not find Spikeloom: start it in the project's"):
        with client_of(processes, 1):
            pass


def test_a_call_whose_worker_dies_is_made_again_until_no_worker_is_left(
    processes, tmp_path, monkeypatch
):
    def fragile(held, value):
        marker = tmp_path / f"{value}"
        if value == "always" or (value == "once" and not marker.exists()):
            marker.touch()
            os._exit(1)
        return held + value

    for _ in range(2):
        processes.worker()
    with client_of(processes, 2) as client:
        calls = [(0, value) for value in ("a", "once", "b", "c")]
        found = dict(cluster.each(client, fragile, calls, ["held "]))
        assert found == {0: "held a", 1: "held once", 2: "held b", 3: "held c"}
        assert len(client.nthreads()) == 1
        monkeypatch.setattr(cluster, "TIMEOUT_SECONDS", 1.0)
        with monkeypatch.context() as elsewhere:  # as if the worker had joined since connecting
            elsewhere.setattr(cluster, "CODE", "0" * 64)
            with pytest.raises(ToolError, match="^the worker at tcp://.* has another version of"):
                list(cluster.each(client, fragile, [(0, "d")], ["held "]))
        with pytest.raises(ToolError, match="the cluster has lost all its workers: start some"):
            list(cluster.each(client, fragile, [(0, "always")], ["held "]))


def test_a_scheduler_that_goes_away(processes):
    def endless(held):
        time.sleep(600)

    processes.worker()
    with client_of(processes, 1) as client:
        threading.Timer(0.5, processes.scheduler.kill).start()
        with pytest.raises(ToolError, match="the Dask scheduler has gone away: start it again"):
            list(cluster.each(client, endless, [(0,)], [None]))


def test_what_kills_every_worker_is_a_failure_of_its_own():
    """On workers of this machine, which are started again when they die."""

    def fatal(held, value):
        if value == 1:
            os._exit(1)
        return value

    with config.set({"distributed.scheduler.allowed-failures": 0}):
        with cluster.connect(None, 1) as client:
            ((_, death),) = cluster.each(client, fatal, [(0, 1)], [None])
            assert list(cluster.each(client, fatal, [(0, 2)], [None])) == [(0, 2)]
    assert _reason(death) == "every worker that measured it died"


def test_nobody_there(processes, monkeypatch):
    with pytest.raises(ValueError, match="has no worker: start one in the project's root"):
        with cluster.connect(processes.address, 0, 0.5):
            pass
    processes.scheduler.kill()
    processes.scheduler.wait()
    with pytest.raises(ValueError) as refused:
        with cluster.connect(processes.address, 0, 0.5):
            pass
    assert str(refused.value) == (
        f"no Dask scheduler answers at {processes.address} within 0.5 s: start one with python -m "
        "dask scheduler, or leave out --scheduler"
    )
    with pytest.raises(ValueError, match="^workers must be at least 1, not 0$"):
        with cluster.connect(None, 0):
            pass
