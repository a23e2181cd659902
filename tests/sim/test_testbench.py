"""`python -m sim testbench`: what the written files hold, and what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hw.contract.description import describe
from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from hw.generate.bench import BENCH, EXPECTED, MEMORY
from sim.__main__ import main


def hardware(directory, **other):
    file = directory / "spikeloom_top.json"
    file.write_text(json.dumps(describe(replace(preset("test"), **other))))
    return file


def test_expected_words_lie_where_memory_has_none_of_them(tmp_path, capsys):
    file = hardware(tmp_path, event_depth=32)
    asked = ["testbench", "synthetic", "--layer", "k0", "--hardware", str(file), "--json"]
    assert main([*asked, "-o", str(tmp_path / "rtl")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [*told] == ["files", "fingerprint", "layer", "model", "weights"]
    assert (told["layer"], told["model"], told["weights"]) == ("k0", "stories260k", "synthetic")
    assert told["files"] == [str(tmp_path / "rtl" / name) for name in (BENCH, MEMORY, EXPECTED)]
    assert f"256'h{told['fingerprint']}" in (tmp_path / "rtl" / BENCH).read_text()
    assert told["fingerprint"] != fingerprint(preset("test"))

    lines = (tmp_path / "rtl" / MEMORY).read_text().splitlines()[1:]
    memory = np.frombuffer(b"".join(bytes.fromhex(line)[::-1] for line in lines), "<u4")
    rows = [row.split("_") for row in (tmp_path / "rtl" / EXPECTED).read_text().splitlines()[1:]]
    addresses, words = (np.array([int(row[i], 16) for row in rows]) for i in (0, 1))
    assert len(rows) == 2 * 32 and len(np.unique(addresses)) == len(rows)
    assert (memory[addresses // 4] == 0xA5A5A5A5).all()
    assert len(np.unique(words)) > 32  # vectors, not one constant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting property name"),
        ("[]", "list"),
        ("{}", "'params'"),
        ('{"params": 1}', "int"),
    ],
)
def test_a_file_without_hardware_is_one_sentence(text, said, tmp_path, capsys):
    file = tmp_path / "spikeloom_top.json"
    file.write_text(text)
    assert main(["testbench", "--hardware", str(file), "-o", str(tmp_path / "rtl")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"python -m sim testbench: {file} does not say what hardware it is for")
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "rtl").exists()


def test_two_kinds_of_hardware_are_one_too_many(tmp_path, capsys):
    asked = ["testbench", "--hardware", str(hardware(tmp_path)), "--preset", "test"]
    assert main(asked) == 2
    said = "--preset and --hardware are one too many: leave one out\n"
    assert capsys.readouterr().err == f"python -m sim testbench: {said}"
