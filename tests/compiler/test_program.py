"""Compiled directories: written whole or not at all, and nothing damaged is taken for good."""

import errno
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from compiler import checksums, damage, emit, manifest
from compiler import directory as directories
from compiler.directory import replacing, write_file
from compiler.partial import partial_of, resuming
from compiler.place import Region
from compiler.program import load
from hw.fingerprint import fingerprint
from hw.isa import Opcode
from hw.presets import preset
from tests.compiler.models import compiled, one_matrix

EDGE, TEST = preset("edge"), preset("test")


@pytest.fixture
def built(tmp_path, rng):
    return compiled(tmp_path / "model", one_matrix(70, 33, 4, has_bias=True), TEST, rng, tokens=3)


def refusal(directory, params=None) -> str:
    with pytest.raises(ValueError) as error:
        load(directory, params)
    return str(error.value)


def test_what_is_written_is_read_back(built):
    again = load(built.directory, TEST)
    assert again == built
    assert again.params == TEST
    assert list(again.regions) == ["program", "s.input", "w.weights", "w.channel_words", "w.output"]
    assert [opcode for opcode, _ in again.instructions()] == [
        *[Opcode.ENCODE, Opcode.MATMUL] * 2,
        Opcode.END,
    ]
    files = sorted(path.name for path in built.directory.iterdir())
    assert files == ["manifest.json", "program.bin", "weights-00000.bin"]


def test_the_same_model_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        compiled(tmp_path / name, one_matrix(70, 33), TEST, np.random.default_rng(5))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_image_holds_program_weights_and_inputs(built, rng):
    x = rng.integers(-(1 << 31), 1 << 31, (3, 33)).astype(np.int32)
    memory = built.image({"s.input": x})
    assert memory.size == built.memory_bytes
    for name in ("program", "w.weights", "w.channel_words"):
        region, entry = built.regions[name], built.manifest["regions"][name]
        raw = (built.directory / entry["file"]).read_bytes()
        part = raw[entry["offset"] :][: region.bytes]
        assert memory[region.address :][: region.bytes].tobytes() == part
    assert np.array_equal(built.read(memory, "s.input"), x)
    stride = TEST.vector_bytes(33)
    last = built.regions["s.input"].address + 2 * stride
    assert memory[last : last + 4 * 33].tobytes() == x[2].astype("<i4").tobytes()
    assert not memory[last + 4 * 33 : last + stride].any()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "inputs must be s.input: s.input is missing or unknown"),
        (
            {"s.input": np.zeros((3, 33), np.int32), "t.input": 0},
            "inputs must be s.input: t.input is missing or unknown",
        ),
        (
            {"s.input": np.zeros((2, 33), np.int32)},
            "input s.input must be int32 of shape (3, 33), not int32 of shape (2, 33)",
        ),
        (
            {"s.input": np.zeros((3, 33))},
            "input s.input must be int32 of shape (3, 33), not float64 of shape (3, 33)",
        ),
    ],
)
def test_wrong_inputs_are_refused(built, inputs, message):
    with pytest.raises(ValueError) as error:
        built.image(inputs)
    assert str(error.value) == message


def test_a_listing_names_regions(built):
    lines = built.listing().splitlines()
    assert lines[0] == "# model: w"
    assert "source=s.input source_stride=136" in lines[1]
    assert "rule=absmax tokens=2 channels=33" in lines[1]
    assert "weights=w.weights channel_words=w.channel_words destination=w.output" in lines[2]
    assert "destination=w.output+0x230 " in lines[4]
    assert lines[5] == "   4 END"


def test_shards_hold_whole_regions(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(emit.Shards.__init__, "__defaults__", (1,))
    built = compiled(tmp_path / "m", one_matrix(70, 33), TEST, rng)
    assert (built.directory / "weights-00001.bin").stat().st_size == TEST.vector_bytes(70)
    (built.directory / "weights-00001.bin").unlink()
    assert refusal(built.directory) == (
        f"{built.directory}/weights-00001.bin is missing: build the model again"
    )


# --- Damage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.weights", "w.channel_words", "program"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_flipped_bit_is_found_and_its_place_named(built, name, place, rng):
    entry, region = built.manifest["regions"][name], built.regions[name]
    path, bit = built.directory / entry["file"], int(rng.integers(8))
    at = entry["offset"] + (0 if place == "first" else region.bytes - 1)
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1 << bit
    path.write_bytes(raw)
    weight = ""
    if name == "w.weights" and place == "first":
        weight = f": tile 0, channel 0, column {bit // 4}"
    elif name == "w.weights":  # the last tile has one word of 64 bits a channel
        weight = f": tile 2, channel 32, column {14 + bit // 4}"
    assert refusal(built.directory) == (
        f"{path} is damaged in region {name} (bit {bit} of its byte {at:,} is flipped{weight}): "
        "build the model again"
    )


@pytest.mark.parametrize("blocks", [1, 64, 1 << 20])
def test_a_flipped_bit_is_found_in_any_block(built, blocks, rng, monkeypatch):
    monkeypatch.setattr(checksums, "BLOCK_BYTES", blocks)
    monkeypatch.setattr(damage, "BLOCK_BYTES", blocks)
    region = Region(name="w", kind="constants", address=0, bytes=1000)
    raw = bytearray(rng.bytes(1000))
    whole = checksums.Checksums()
    whole.update(raw)
    at, bit = int(rng.integers(1000)), int(rng.integers(8))
    raw[at] ^= 1 << bit
    path = built.directory / "w"
    path.write_bytes(bytes(7) + raw)
    contents = {"offset": 7, **whole.entry()}
    found = damage.where(path, region, contents, None, TEST)
    assert found == f"bit {bit} of its byte {7 + at:,} is flipped"


def test_more_than_a_bit_is_found_by_its_blocks(built):
    entry = built.manifest["regions"]["w.weights"]
    path = built.directory / entry["file"]
    raw = bytearray(path.read_bytes())
    raw[5] ^= 1
    raw[70] ^= 1
    path.write_bytes(raw)
    assert refusal(built.directory) == (
        f"{path} is damaged in region w.weights (its bytes 0 to 1,319 differ): build the model "
        "again"
    )


def test_a_truncated_file_is_named(built):
    path = built.directory / "weights-00000.bin"
    path.write_bytes(path.read_bytes()[:-8])
    assert refusal(built.directory) == (
        f"{path} ends 8 bytes before region w.channel_words does: build the model again"
    )


def test_a_missing_program_is_named(built):
    (built.directory / "program.bin").unlink()
    assert refusal(built.directory) == (
        f"{built.directory}/program.bin is missing: build the model again"
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-30],
        lambda text: "[]",
        lambda text: "",
        lambda text: text.replace('"tokens": 3', '"tokens": 4', 1),
        lambda text: text.replace('"sha256"', '"sha257"'),
        lambda text: "\xff",
    ],
)
def test_a_damaged_manifest_is_refused(built, damage):
    path = built.directory / "manifest.json"
    path.write_text(damage(path.read_text()), encoding="latin-1")
    assert refusal(built.directory) == (
        f"{path} is damaged (its checksum differs): build the model again"
    )


def test_another_format_is_refused(built):
    manifest.write({**built.manifest, "format": 1}, built.directory)
    assert refusal(built.directory) == (
        f"{built.directory}/manifest.json must be of format 3, not 1: build the model again with "
        "this version"
    )


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"kind": "model"}, "context is missing"),
        ({"kind": ["model"]}, "kind must be one of layers, model, shard, devices, not ['model']"),
        ({"tokens": True}, "tokens cannot be True"),
        ({"recipe": "w8"}, "recipe cannot be 'w8'"),
        ({"regions": {}}, "it has no program"),
        ({"regions": []}, "regions cannot be []"),
        ({"operations": [{"operation": "MATMUL"}]}, "operations: matrix is missing"),
        (
            {"operations": [1]},
            "operations: an operation must be one of ENCODE, MATMUL, not None",
        ),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(built, changes, wrong):
    manifest.write({**built.manifest, **changes}, built.directory)
    assert refusal(built.directory) == (
        f"{built.directory}/manifest.json cannot be used ({wrong}): build the model again"
    )


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"bytes": -5}, "bytes cannot be -5"),
        ({"bytes": 1 << 60}, "it must end by byte {memory:,} of the memory"),
        ({"offset": "0"}, "offset cannot be '0'"),
        ({"file": "../../etc/passwd"}, "file cannot be '../../etc/passwd'"),
        ({"file": "manifest.json"}, "file cannot be 'manifest.json'"),
        ({"sha256": "0"}, "sha256 cannot be '0'"),
        ({"crc32": "0123456789"}, "crc32 must have 8 hexadecimal digits"),
    ],
)
def test_a_region_that_cannot_be_is_refused(built, changes, wrong):
    regions = built.manifest["regions"]
    regions = {**regions, "w.weights": {**regions["w.weights"], **changes}}
    manifest.write({**built.manifest, "regions": regions}, built.directory)
    wrong = wrong.format(memory=built.memory_bytes)
    assert refusal(built.directory) == (
        f"{built.directory}/manifest.json cannot be used (region w.weights: {wrong}): build the "
        "model again"
    )


@pytest.mark.parametrize("name", ["manifest.json", "program.bin", "weights-00000.bin"])
@pytest.mark.parametrize(
    ("make", "kind"), [(os.mkdir, "a directory"), (os.mkfifo, "a pipe or a device")]
)
def test_what_is_no_file_is_refused(built, name, make, kind):
    path = built.directory / name
    path.unlink()
    make(path)
    assert refusal(built.directory) == (
        f"{path} must be a regular file, not {kind}: remove it, and build the model again"
    )


def test_a_manifest_nested_beyond_reading_is_damaged(built):
    (built.directory / "manifest.json").write_text("[" * 100_000)
    assert refusal(built.directory) == (
        f"{built.directory}/manifest.json is damaged (its checksum differs): build the model again"
    )


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_what_is_no_compiled_model_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert refusal(tmp_path / name) == (
        f"{tmp_path / name} is no compiled model (it has no manifest.json): make one with "
        "python -m compiler build"
    )


def test_other_hardware_is_refused_naming_both(built):
    ours, theirs = fingerprint(TEST), fingerprint(EDGE)
    assert refusal(built.directory, EDGE) == (
        f"{built.directory} is compiled for hardware {ours}, not for {theirs}: build it again for "
        "this hardware"
    )
    assert ours != fingerprint(replace(TEST, event_depth=16))


def test_an_older_contract_is_refused_naming_both(built):
    stale = "ab" * 32
    manifest.write({**built.manifest, "fingerprint": stale}, built.directory)
    assert f"hardware {stale}, not for {fingerprint(TEST)}" in refusal(built.directory)


# --- Writing ---------------------------------------------------------------------------------


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


def test_the_manifest_describes_the_operations(built):
    encode, matmul = built.manifest["operations"]
    assert encode["instructions"] == [0, 2]
    assert matmul["instructions"] == [1, 3]
    # 70 outputs of 4 bits: two tiles of 32 in 2 words (4 beats) each, one of 6 in 1 word (2 beats).
    assert matmul["tiles"] == 3
    assert matmul["weight_bytes"] == 33 * (2 + 2 + 1) * 8
    assert matmul["dense_cycles"] == 2 * 33 * (4 + 4 + 2)
    json.dumps(built.manifest)


@pytest.mark.parametrize("name", ["program.bin", "weights-00000.bin"])
def test_bytes_after_the_last_region_are_refused(built, name):
    path = built.directory / name
    path.write_bytes(path.read_bytes() + b"\xff" * 100)
    with pytest.raises(ValueError) as error:
        load(built.directory)
    assert str(error.value) == (
        f"{path} goes on 100 bytes after its last region: build the model again"
    )
