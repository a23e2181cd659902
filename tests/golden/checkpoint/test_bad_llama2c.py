"""What a user is told of llama2.c files, and of files of no kind, that cannot be used."""

import shutil
import struct

import pytest

from golden.checkpoint.checkpoint import CheckpointError, CheckpointNotFoundError, load
from tests.golden.make_checkpoints import random_model, refused, write_llama2c

GET = "get it again"


def test_what_is_not_there(tmp_path):
    path = tmp_path / "none"
    assert refused(path) == (
        f"there is no checkpoint {path}: name a Hugging Face directory, a .gguf file, a llama2.c "
        ".bin file, or one of smollm2-135m, stories260k"
    )
    with pytest.raises(FileNotFoundError):
        load(path)


def test_what_is_no_checkpoint(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    assert refused(path) == (
        f"{path} is no checkpoint: name a Hugging Face directory, a .gguf file or a llama2.c .bin "
        "file"
    )


@pytest.fixture
def llama2c(tmp_path, seed):
    return write_llama2c(tmp_path / "model.bin", random_model("llama", seed))


def test_llama2c_that_ends_in_its_header(llama2c):
    llama2c.write_bytes(llama2c.read_bytes()[:27])
    assert refused(llama2c) == (
        f"{llama2c} is truncated (its header takes 28 bytes, it has 27): {GET}"
    )


@pytest.mark.parametrize("change", [-4, -1, 1])
def test_llama2c_of_another_length(change, llama2c):
    data = llama2c.read_bytes()
    llama2c.write_bytes(data[:change] if change < 0 else data + bytes(change))
    assert refused(llama2c) == (
        f"{llama2c} is truncated or damaged (its header asks for {len(data)} bytes, it has "
        f"{len(data) + change}): {GET}"
    )


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            (0x616B3432, 1, 0, 0, 0, 0, 0),
            "{path} is in version 1 of llama2.c's format: export the legacy version 0",
        ),
        (
            (40, 72, 3, 0, 2, 61, 128),
            (
                "{path} is no llama2.c file (its header has 0 heads for 40 channels): get it "
                "again, or name another"
            ),
        ),
        (
            (41, 72, 3, 4, 2, 61, 128),
            (
                "{path} is no llama2.c file (its header has 4 heads for 41 channels): get it "
                "again, or name another"
            ),
        ),
        (
            (40, 72, -3, 4, 2, 61, 128),
            (
                "{path} is no llama2.c file (layers must be a positive integer, not -3): get it "
                "again, or name another"
            ),
        ),
        (
            (40, 72, 3, 4, 0, 61, 128),
            (
                "{path} is no llama2.c file (kv_heads must be a positive integer, not 0): get it "
                "again, or name another"
            ),
        ),
        (
            (40, 72, 3, 4, 3, 61, 128),
            (
                "{path} is no llama2.c file (heads must be a multiple of kv_heads (3), not 4): "
                "get it again, or name another"
            ),
        ),
        (
            (40, 72, 1 << 30, 4, 2, 61, 128),
            (
                "{path} is no llama2.c file (layers must be at most 4096, not 1073741824): get it "
                "again, or name another"
            ),
        ),
        (
            (1 << 30, 1 << 30, 1, 1, 1, 1 << 30, 1 << 30),
            (
                "{path} is truncated or damaged (its header asks for 41505174178731393052 bytes, "
                "it has {bytes}): get it again"
            ),
        ),
    ],
)
def test_llama2c_with_a_header_that_makes_no_sense(header, message, llama2c):
    data = struct.pack("<7i", *header) + llama2c.read_bytes()[28:]
    llama2c.write_bytes(data)
    expected = message.replace("{path}", str(llama2c)).replace("{bytes}", str(len(data)))
    assert refused(llama2c) == expected


def test_llama2c_with_values_that_are_no_numbers(llama2c):
    data = bytearray(llama2c.read_bytes())
    data[28:32] = struct.pack("<f", float("nan"))
    llama2c.write_bytes(data)
    assert refused(llama2c) == (
        f"{llama2c}: embed holds nan in output channel 0, but weights must be finite: the file is "
        "damaged, get it again"
    )


def test_llama2c_without_a_tokenizer(llama2c):
    with pytest.raises(CheckpointNotFoundError) as error:
        load(llama2c).tokenizer.encode("Once")
    assert str(error.value) == (
        f"{llama2c} has no tokenizer: put tok61.bin or tokenizer.bin beside it, or use token ids"
    )


def test_llama2c_with_a_truncated_tokenizer(stories260k, tmp_path):
    shutil.copy(stories260k, tmp_path / "model.bin")
    whole = (stories260k.parent / "tok512.bin").read_bytes()
    for length, tokens in ((0, 0), (4, 0), (16, 0), (17, 1), (len(whole) - 1, 511)):
        (tmp_path / "tok512.bin").write_bytes(whole[:length])
        with pytest.raises(CheckpointError) as error:
            load(tmp_path / "model.bin").tokenizer  # noqa: B018
        assert str(error.value) == (
            f"{tmp_path / 'tok512.bin'} is truncated or damaged (it has {tokens} tokens of 512): "
            f"{GET}"
        )
