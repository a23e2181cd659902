"""Builds of whole models that are interrupted, and what later ones make of what is left."""

import errno
import fcntl
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.synthetic import write_checkpoint
from compiler.__main__ import main
from compiler.models import origin
from compiler.passes.emit import Shards
from compiler.programs import model as builds
from compiler.programs.layers import build as build_layers
from compiler.programs.model import build_model
from compiler.storage import partial
from compiler.storage.partial import Interrupted, partial_of
from hw.contract.presets import preset
from tests.compiler.models import RandomCheckpoint, recipe

ROOT = Path(__file__).resolve().parents[2]
KEPT = "what is done is kept, and the same command goes on from there"


def build(target, checkpoint=None, progress=lambda name: None, **settings):
    checkpoint = checkpoint or RandomCheckpoint(3)
    return build_model(
        checkpoint,
        target,
        params=preset("test"),
        recipe=recipe(**settings),
        context=20,
        progress=progress,
    )


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def whole(tmp_path):
    build(tmp_path / "whole")
    return contents(tmp_path / "whole")


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """Stop a build after `after` regions, with an error; returns where it should have gone."""

    def stop(error, after=20):
        target, real, calls = tmp_path / "model", Shards.write, []

        def write(self, region, chunks):
            calls.append(region.name)
            if len(calls) > after:
                raise error
            real(self, region, chunks)

        with monkeypatch.context() as patch:
            patch.setattr(Shards, "write", write)
            with pytest.raises(BaseException) as raised:
                build(target)
        return target, raised.value

    return stop


@pytest.fixture
def written(monkeypatch):
    """List the regions that are written from now on."""
    names, real = [], Shards.write
    monkeypatch.setattr(
        Shards,
        "write",
        lambda self, region, chunks: names.append(region.name) or real(self, region, chunks),
    )
    return names


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path, seed):
    command = [sys.executable, "-m", "tests.compiler.kills", tmp_path, str(seed)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)
    for result in results:
        assert all(result[key] for key in ("killed", "left", "identical", "gone")), result
    of_writes = [r for r in results if r["kind"] == "write"]
    assert of_writes[-1]["writes_of_the_second"] < of_writes[-1]["of"]
    assert results[-1]["kind"] == "swap"  # when all but the records is vouched for
    assert 10 * results[-1]["writes_of_the_second"] < of_writes[-1]["of"]


def test_a_full_disk_leaves_what_is_done(stopped, whole, written, tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device", "weights-00000.bin")
    target, error = stopped(full)
    assert error.strerror == f"No space left on device; {KEPT}"
    assert not target.exists() and partial_of(target).exists()
    written.clear()
    said = []
    build(target, progress=said.append)
    assert said[0] == "going on with an unfinished build"
    assert 0 < len(written) <= 23  # 43 regions have contents; a matrix has two of them
    assert contents(target) == whole
    assert not partial_of(target).exists()


def test_an_interrupt_leaves_what_is_done(stopped, whole):
    target, error = stopped(KeyboardInterrupt())
    assert isinstance(error, Interrupted) and str(error) == f"interrupted: {KEPT}"
    build(target)
    assert contents(target) == whole


def test_before_it_goes_on_an_interrupt_says_what_is_kept(
    capsys, monkeypatch, tmp_path, stories260k
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    target = tmp_path / "model"
    command = ["build", str(stories260k), "--preset", "test", "-o", str(target)]
    monkeypatch.setattr(builds, "prepare", interrupted)
    assert main(command) == 130
    assert capsys.readouterr().err == ""
    monkeypatch.undo()
    monkeypatch.setattr(builds, "emit", interrupted)
    assert main(command) == 130
    assert capsys.readouterr().err == f"python -m compiler build: interrupted: {KEPT}\n"
    monkeypatch.setattr(builds, "prepare", interrupted)
    assert main(command) == 130
    assert capsys.readouterr().err == f"python -m compiler build: interrupted: {KEPT}\n"


def test_reports_of_the_build_before_are_not_taken_over(tmp_path):
    def killed(directory, manifest):
        (directory / "report.json").write_text("of another position")
        raise KeyboardInterrupt

    choices = dict(params=preset("test"), recipe=recipe(), context=20)
    with pytest.raises(Interrupted):
        build_model(RandomCheckpoint(3), tmp_path / "model", reports=killed, **choices)
    build(tmp_path / "model")
    assert "report.json" not in contents(tmp_path / "model")


def test_a_real_limit_of_a_file_is_one_sentence(tmp_path, stories260k):
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
        "from compiler.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    target = tmp_path / "model"
    options = ["--layers", "all", "--preset", "test", "--context", "16", "-o", target]
    run = subprocess.run(
        [sys.executable, "-c", script, "build", stories260k, *options],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    shard = partial_of(target) / "model" / "weights-00000.bin"
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"python -m compiler build: {shard}: File too large; {KEPT}\n"
    assert not target.exists()
    assert main(["build", str(stories260k), *map(str, options)]) == 0


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        (dict(weight_bits=4), "recipe"),
        (dict(checkpoint=RandomCheckpoint(4)), "checkpoint"),
        (dict(checkpoint=RandomCheckpoint(3, ffn_size=90)), "checkpoint, model"),
    ],
)
def test_another_build_starts_anew(stopped, tmp_path, changes, differs):
    target, _ = stopped(OSError(errno.EIO, "no"))
    said = []
    build(target, progress=said.append, **changes)
    assert said[0] == f"starting anew: the unfinished build differs in {differs}"
    build(tmp_path / "other", **changes)
    assert contents(target) == contents(tmp_path / "other")


def test_another_version_starts_anew(stopped, monkeypatch):
    target, _ = stopped(OSError(errno.EIO, "no"))
    monkeypatch.setattr("compiler.artifact.identity._version", lambda: "later")
    said = []
    build(target, progress=said.append)
    assert said[0] == "starting anew: the unfinished build differs in version"


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_what_is_damaged_meanwhile_is_written_again(stopped, whole, written, damage):
    target, _ = stopped(OSError(errno.EIO, "no"))
    path = partial_of(target) / "model" / "weights-00000.bin"
    raw = bytearray(path.read_bytes())
    if damage == "flip":
        raw[100] ^= 4  # of the embeddings
    path.write_bytes(raw[: len(raw) if damage == "flip" else 50])
    if damage == "remove":
        path.unlink()
    written.clear()
    build(target)
    assert "embed" in written
    assert contents(target) == whole


@pytest.mark.parametrize("keep", [0, 1, 5])
def test_a_journal_is_believed_up_to_its_first_damaged_line(stopped, whole, keep):
    target, _ = stopped(OSError(errno.EIO, "no"))
    path = partial_of(target) / "journal"
    lines = path.read_bytes().split(b"\n")
    lines[keep] = lines[keep].replace(b"e", b"f", 1)
    path.write_bytes(b"\n".join(lines))
    build(target)
    assert contents(target) == whole


def test_two_builds_of_one_directory_do_not_meet(tmp_path):
    target = tmp_path / "model"
    partial_of(target).mkdir()
    other = os.open(partial_of(target), os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(ValueError) as error:
        build(target)
    os.close(other)
    assert str(error.value) == (
        f"{target} is being built by another process: wait for it, or name another with -o"
    )
    build(target)


def test_a_model_that_a_kill_took_away_in_the_swap_comes_back(tmp_path, monkeypatch):
    target = tmp_path / "model"
    build(target)
    old = contents(target)
    partial_of(target).mkdir()
    target.rename(partial_of(target) / "old")
    monkeypatch.setattr(partial, "swap", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        build(target)
    assert contents(target) == old


def test_a_disk_without_room_is_told_at_once(tmp_path, monkeypatch, written):
    monkeypatch.setattr(builds.shutil, "disk_usage", lambda _: type("", (), {"free": 1000})())
    with pytest.raises(OSError) as error:
        build(tmp_path / "model")
    assert re.match(
        r"the model takes [\d,]+ bytes more, but the disk has only 1,000 free: make room, or name "
        "another place with -o",
        error.value.strerror,
    )
    assert not written


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.nan, "weights must be finite, not nan in output channel 5"),
        (1e30, "weights of 8 bits must be below 32512 in magnitude, not 1e+30 in output channel 5"),
    ],
)
def test_weights_that_cannot_be_quantized_leave_nothing(tmp_path, value, said):
    checkpoint = RandomCheckpoint(3)
    checkpoint.path = "it"
    checkpoint.tensor("layers.1.up")[5, 7] = value
    told = f"it: layers.1.up: {said}: the checkpoint may be damaged, get it again"
    with pytest.raises(ValueError) as error:
        build(tmp_path / "model", checkpoint)
    assert str(error.value) == told
    with pytest.raises(ValueError) as error:
        build_layers(
            checkpoint, ["mlp1"], tmp_path / "model", params=preset("test"), recipe=recipe()
        )
    assert str(error.value) == told
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_changes_meanwhile_is_refused(tmp_path):
    checkpoint = RandomCheckpoint(3)
    checkpoint.path = "it"

    def change(name):
        checkpoint.stamp = ["changed"]

    with pytest.raises(ValueError, match="^it was changed while it was read: build the model"):
        build(tmp_path / "model", checkpoint, change)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("elements", [1, 100])
def test_the_blocks_do_not_show(tmp_path, whole, elements, monkeypatch):
    monkeypatch.setattr(origin, "_BLOCK_ELEMENTS", elements)
    compiled = build(tmp_path / "model")
    assert contents(compiled.directory) == whole
    matrices = [s for s in compiled.manifest["operations"] if s["operation"] == "MATMUL"]
    parts = [(s["matrix"], s["first_row"], s["outputs"]) for s in matrices]
    assert origin.checksum(RandomCheckpoint(3), parts) == compiled.manifest["checkpoint"]
    assert origin.checksum(RandomCheckpoint(4), parts) != compiled.manifest["checkpoint"]


def test_no_more_of_a_model_is_in_memory_than_a_few_blocks(tmp_path):
    figures = dict(vocab_size=100_000, hidden_size=512, ffn_size=512, layers=1, qkv_bias=False)
    figures |= dict(heads=8, kv_heads=8, head_dim=64)
    config = RandomCheckpoint(3, **{**figures, "vocab_size": 8}).config
    write_checkpoint(
        tmp_path / "large", replace(config, vocab_size=100_000), seed=1, shard_bytes=1 << 30
    )
    write_checkpoint(tmp_path / "small", config, seed=1, shard_bytes=1 << 30)
    script = (
        "import resource, sys\n"
        "from compiler.__main__ import main\n"
        "for name in ('small', 'large'):\n"
        "    options = ['--layers', 'all', '--context', '16', '-o', f'{name}.out']\n"
        "    assert main(['build', name, *options]) == 0\n"
        "    print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    small, large = (int(kib) * 1024 for kib in re.findall(r"peak (\d+)", run.stdout))
    # In float32 the embedding alone, and the head as well, would take 205 MB.
    assert large - small < 120e6
