"""Nothing damaged is taken for good, and the place of the damage is named."""

import os

import pytest

from compiler.artifact import damage
from compiler.passes.place import Region
from compiler.storage import checksums
from hw.contract.presets import preset
from tests.compiler.refused import refusal

TEST = preset("test")


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


@pytest.mark.parametrize("name", ["program.bin", "weights-00000.bin"])
def test_bytes_after_the_last_region_are_refused(built, name):
    path = built.directory / name
    path.write_bytes(path.read_bytes() + b"\xff" * 100)
    assert refusal(built.directory) == (
        f"{path} goes on 100 bytes after its last region: build the model again"
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
