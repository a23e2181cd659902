"""The command that continues a text with the integer model."""

import pytest

from golden.__main__ import main
from golden.checkpoint.checkpoint import load
from golden.checkpoint.tokenizer import Tokenizer
from golden.model.integer import IntegerModel
from golden.recipe.recipe import load_recipe


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(["generate", *arguments])
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def stories(stories260k) -> tuple[str, ...]:
    """Return the arguments that name stories260k."""
    return "--model", "stories260k"


def test_a_story_goes_on(stories, capsys):
    status, out, err = run(capsys, *stories, "--prompt", "One day, Tom and Sue", "--tokens", "30")
    assert (status, err) == (0, "")
    assert out.startswith("One day, Tom and Sue w") and out.endswith("\n") and len(out) > 60


def test_the_recipe_is_followed(stories, capsys):
    texts = {
        recipe: run(capsys, *stories, "--prompt", "Once", "--tokens", "20", "--recipe", recipe)[1]
        for recipe in ("w8", "w2")
    }
    checkpoint = load("stories260k")
    for recipe, text in texts.items():
        model = IntegerModel(checkpoint, load_recipe(recipe))
        ids = checkpoint.tokenizer.encode("Once")
        assert text == checkpoint.tokenizer.decode([*ids, *model.generate(ids, 20)]) + "\n"
    assert texts["w8"] != texts["w2"]


def test_a_character_of_several_tokens_is_printed_whole(stories, capsys, monkeypatch):
    """Every token is a byte; the model says a character of three of them, and half of another."""
    said = list("\u2581x\u00e9".encode()[:-1])
    tokenizer = Tokenizer(
        encode=lambda text: list(text.encode()),
        decode=lambda ids: bytes(ids).decode(errors="replace"),
        bos_id=None,
        eos_ids=(),
    )
    parts = []
    monkeypatch.setattr("golden.checkpoint.checkpoint.LoadedCheckpoint.tokenizer", tokenizer)
    monkeypatch.setattr("golden.model.integer.IntegerModel.stream", lambda *_: iter(said))
    monkeypatch.setattr("builtins.print", lambda text, **_: parts.append(text))
    assert main(["generate", *stories, "--prompt", "ab"]) == 0
    assert parts == ["ab", "\u2581", "x", "\ufffd\n"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prompt", "a", "--tokens", "0"), "--tokens must be at least 1, not 0"),
        (
            ("--prompt", "a", "--tokens", "511"),
            "--prompt and --tokens must be at most 512 tokens for this model, not 2 and 511",
        ),
        (("--prompt", "a", "--recipe", "w9"), "there is no recipe w9: name one of "),
        (("--prompt", "a", "--model", "none.bin"), "there is no checkpoint none.bin: name "),
    ],
)
def test_user_errors_are_one_sentence(stories, capsys, arguments, said):
    status, out, err = run(capsys, *stories, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"python -m golden generate: {said}") and err.count("\n") == 1


@pytest.mark.parametrize("model", ["smollm2_135m", "stories260k"])
def test_a_prompt_without_tokens_is_refused(model, request, capsys):
    checkpoint = request.getfixturevalue(model)
    status, out, err = run(capsys, "--model", str(checkpoint), "--prompt", "")
    assert (status, out) == (2, "")
    assert err == "python -m golden generate: the prompt has no token: give one that has\n"


def test_a_prompt_of_another_coding_is_refused(stories260k, capsys):
    status, out, err = run(capsys, "--model", str(stories260k), "--prompt", "caf\udce9")
    assert (status, out) == (2, "")
    assert err == (
        "python -m golden generate: the prompt must be Unicode text, not bytes of another coding\n"
    )
