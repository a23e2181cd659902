"""What users type for a board, and what they are told."""

import json

import pytest

from compiler.artifact.program import load
from compiler.boards.board import boards
from golden.checkpoint.checkpoint import load as load_checkpoint
from golden.measure.profile_file import save_profile
from golden.measure.profiling import record
from golden.recipe.recipe import load_recipe
from tests.compiler.cli import run


@pytest.mark.parametrize("weights", [("none",), ("synthetic", "--seed", "1")])
def test_a_build_for_a_board_is_what_its_picker_says(capsys, tmp_path, weights):
    options = ("stories260k", "--weights", *weights, "--board", "orangecrab-85f")
    status, out, err = run(capsys, "build", *options, "-o", tmp_path / "model", "--json")
    assert (status, err) == (0, "")
    found = json.loads((tmp_path / "model" / "report.json").read_text())
    board, params = found["board"], load(tmp_path / "model").params.as_dict()
    assert json.loads(out)["board"] == board
    assert found["params"] == board["params"] == params
    assert found["memory"]["bytes"] < board["values"]["capacity_bytes"]["value"]
    asked = ("--position", 511, "--prompt", 512, "--board", "orangecrab-85f", "--json")
    status, out, err = run(capsys, "boards", "stories260k", *asked)
    (row,) = json.loads(out)["boards"]
    assert row.items() <= board.items()
    told = run(capsys, "build", *options, "-o", tmp_path / "model")[1]
    assert "board: OrangeCrab 85F at 60 MHz, 1 core: " in told
    assert f"limited by {row['bound']}" in told and "J a token" in told


def test_a_build_for_a_board_is_predicted_in_its_own_coding(capsys, tmp_path):
    """Also what a board's cores would do, and the accelerator that is picked."""
    options = ("--weights", "none", "--board", "orangecrab-85f", "-o", tmp_path / "model", "--json")
    asked = ("--position", 511, "--prompt", 512, "--board", "orangecrab-85f", "--json")
    speeds = {}
    for coding in ("csd", "unary"):
        out = run(capsys, "build", "stories260k", *options, "--coding", coding)[1]
        board = json.loads(out)["board"]
        assert board["coding"] == coding and board["cores"] == 1
        assert board["tokens_per_second"] == pytest.approx(board["one_core_tokens_per_second"])
        out = run(capsys, "boards", "stories260k", *asked, "--coding", coding)[1]
        assert json.loads(out)["boards"][0].items() <= board.items()
        speeds[coding] = board["tokens_per_second"]
    assert speeds["unary"] < speeds["csd"]


def test_a_board_in_no_coding(capsys, tmp_path):
    message = "coding must be one of unary, bitwise, csd, not 'morse'"
    build = ("build", "stories260k", "--weights", "none", "--board", "kv260", "-o", tmp_path / "m")
    for command in (build, ("boards",)):
        refused = (2, "", f"python -m compiler {command[0]}: {message}\n")
        assert run(capsys, *command, "--coding", "morse") == refused
    assert not (tmp_path / "m").exists()


def test_boards_of_one_board_only(capsys):
    status, out, err = run(capsys, "boards", "--board", "kv260")
    assert (status, err) == (0, "") and "kv260" in out and "vck190" not in out
    message = f"board must be one of {', '.join(boards())}, not 'kv-260'"
    refused = (2, "", f"python -m compiler boards: {message}\n")
    assert run(capsys, "boards", "--board", "kv-260") == refused


def test_boards_of_which_none_fits(capsys):
    status, out, err = run(capsys, "boards", "sdllm-13b", "--board", "kv260")
    assert (status, err) == (0, "")
    assert "no board fits\nkv260: sdllm-13b needs" in out and "tokens/s" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_cycles_of_a_profile_are_those_on_the_board_s_memory(capsys, tmp_path, stories260k):
    windows = [[1, *range(300, 323)], [1, *range(400, 423)]]
    checkpoint, chosen = load_checkpoint("stories260k"), load_recipe("w8")
    profile = record(checkpoint, chosen, windows, text=("a", "0" * 64), context=24)
    save_profile(profile, tmp_path / "p.npz")
    model = tmp_path / "model"
    options = (
        "--recipe",
        "w8",
        "--profile",
        tmp_path / "p.npz",
        "--context",
        20,
        "--position",
        12,
        "-o",
        model,
    )
    for hardware, words in (("--board", "arty-a7-100t"), 0.766), (("--preset", "edge"), 1.0):
        status, out, _ = run(capsys, "build", "stories260k", *hardware, *options)
        assert status == 0
        schedule = load(model).manifest["schedule"]
        assert schedule["position"] == 12
        assert schedule["words_a_cycle"] == pytest.approx(words, abs=0.001)
        assert (" memory words a cycle" in out) == (words != 1)
        tokens = json.loads((model / "report.json").read_text())["tokens"]
        (cycles,) = (token["cycles"] for token in tokens if token["position"] == 12)
        assert sum(schedule["predicted_cycles"].values()) == pytest.approx(cycles, abs=4)
