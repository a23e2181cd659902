"""Compiled directories are written whole or not at all, and replace nothing else."""

import errno
import os
import threading
import time

import pytest

from compiler.artifact.program import load
from compiler.passes import emit
from compiler.storage import directory as directories
from compiler.storage.directory import replacing, write_file
from compiler.storage.lock import alone
from compiler.storage.partial import partial_of, resuming
from hw.contract.presets import preset
from tests.compiler.models import compiled, one_matrix

TEST = preset("test")


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_failed_build_leaves_nothing(tmp_path, rng):
    def fails():
        with replacing(tmp_path / "deep" / "model") as work:
            (work / "manifest.json").write_text("half")
            raise KeyboardInterrupt

    pytest.raises(KeyboardInterrupt, fails)
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_failed_build_leaves_the_old_model(built, rng, monkeypatch):
    before = contents(built.directory)
    monkeypatch.setattr(emit.Shards, "write", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        compiled(built.directory, one_matrix(8, 8), TEST, rng)
    assert contents(built.directory) == before
    assert list(built.directory.parent.iterdir()) == [built.directory]


def test_an_old_model_is_replaced_whole(built, rng):
    (built.directory / "weights-00001.bin").touch()  # of a larger model
    compiled(built.directory, one_matrix(8, 8), TEST, rng)
    assert load(built.directory).regions["w.output"].channels == 8
    assert sorted(contents(built.directory)) == [
        "manifest.json",
        "program.bin",
        "weights-00000.bin",
    ]
    assert list(built.directory.parent.iterdir()) == [built.directory]


def test_a_swap_that_fails_brings_the_old_model_back(built, rng, monkeypatch):
    before = contents(built.directory)
    rename = directories.os.rename

    def once(source, target):
        if source.name == "new":
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(directories.os, "rename", once)
    with pytest.raises(OSError, match="^no$"):
        compiled(built.directory, one_matrix(8, 8), TEST, rng)
    assert contents(built.directory) == before
    assert list(built.directory.parent.iterdir()) == [built.directory]


def test_nothing_else_is_replaced(tmp_path, built, rng):
    (built.directory / "notes.txt").touch()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    alone = "exists and is no compiled model, so it is left alone: name another directory"
    for name, reason in {
        "model": alone,
        "empty": alone,
        "file": "must be a directory, not a file: name another with -o",
        "link": "must be a directory, not a link: name what it points to",
    }.items():
        with pytest.raises(ValueError) as error:
            compiled(tmp_path / name, one_matrix(8, 8), TEST, rng)
        assert str(error.value) == f"{tmp_path / name} {reason}"
        with pytest.raises(ValueError), replacing(tmp_path / name):
            pytest.fail("it must be refused before any work is done")
    assert (built.directory / "notes.txt").exists()


def test_what_appears_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "model"
    with pytest.raises(ValueError, match="is left alone"), replacing(target):
        target.mkdir()
        (target / "notes.txt").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "notes.txt"]


def killed_in_the_midst(target):
    """Leave what a kill leaves of `replacing`: no exception unwinds it."""
    child = os.fork()
    if not child:
        with replacing(target) as work:
            (work / "manifest.json").write_text("half")
            os._exit(0)
    os.waitpid(child, 0)
    assert (partial_of(target) / "new" / "manifest.json").exists()


def test_what_a_kill_leaves_the_next_build_removes(tmp_path, rng):
    target = tmp_path / "model"
    killed_in_the_midst(target)
    compiled(target, one_matrix(8, 8), TEST, rng)
    load(target)
    assert list(tmp_path.iterdir()) == [target]


def test_a_model_that_a_kill_took_away_comes_back(built, rng, monkeypatch):
    before = contents(built.directory)
    killed_in_the_midst(built.directory)
    built.directory.rename(partial_of(built.directory) / "old")
    monkeypatch.setattr(emit.Shards, "write", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        compiled(built.directory, one_matrix(8, 8), TEST, rng)
    assert contents(built.directory) == before


def test_an_unfinished_whole_model_outlives_other_builds_of_its_place(tmp_path, rng):
    target = tmp_path / "model"
    with pytest.raises(OSError), resuming(target, {}, lambda _: None) as (work, journal):
        (work / "weights-00000.bin").write_bytes(b"much")
        journal.add("much")
        raise OSError(errno.ENOSPC, "full")
    compiled(target, one_matrix(8, 8), TEST, rng)
    with resuming(target, {}, lambda _: None) as (work, journal):
        assert journal.entries == {"much": {"name": "much"}}
        assert (work / "weights-00000.bin").read_bytes() == b"much"


def test_two_builds_do_not_meet(tmp_path, rng):
    target = tmp_path / "model"
    with replacing(target) as work:
        with pytest.raises(ValueError) as error:
            compiled(target, one_matrix(8, 8), TEST, rng)
        assert str(error.value) == (
            f"{target} is being built by another process: wait for it, or name another with -o"
        )
        assert work.exists()
    assert [*tmp_path.iterdir()] == [target]


def test_a_file_that_cannot_be_written_is_named_by_its_place(tmp_path):
    target = tmp_path / "model"
    with pytest.raises(OSError) as error, replacing(target) as work:
        write_file(work / "program.bin" / "x", b"")
    assert error.value.filename == str(target / "program.bin" / "x")
    assert list(tmp_path.iterdir()) == []


def test_others_may_read_it_as_they_may_other_files(built, tmp_path):
    (tmp_path / "other").mkdir()
    assert built.directory.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_lock_is_waited_for_also_where_it_is_removed(tmp_path):
    file, order = tmp_path / "deep" / ".lock", []
    other = threading.Thread(target=lambda: _alone_for(file, order, "second"))
    with alone(file):
        other.start()
        time.sleep(0.2)  # it waits by then, or order tells
        order.append("first")
        file.unlink()
    other.join(10)
    assert order == ["first", "second"] and file.exists()


def _alone_for(file, order, name):
    with alone(file):
        order.append(name)
