"""Compiled directories, read back: what is written is read, for the hardware it is for."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.artifact import manifest
from compiler.artifact.listing import listing
from compiler.artifact.program import load
from compiler.passes import emit
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Opcode
from hw.contract.presets import preset
from tests.compiler.models import compiled, one_matrix
from tests.compiler.refused import refusal

EDGE, TEST = preset("edge"), preset("test")


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
    lines = listing(built).splitlines()
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
