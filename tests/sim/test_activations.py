"""Prompts that no model takes."""

import pytest

from golden.checkpoint.checkpoint import load
from golden.checkpoint.prompt import prompt_ids
from sim.runs.place import file_name


@pytest.mark.parametrize(
    "prompt, sentence",
    [
        ("\udcff", "the prompt must be Unicode text, not bytes of another coding"),
        (
            "word " * 900,
            (
                "the prompt has 2702 tokens, more than the 512 positions of the model: "
                "give a shorter one"
            ),
        ),
    ],
)
def test_a_prompt_that_cannot_be_taken_is_refused(stories260k, prompt, sentence):
    with pytest.raises(ValueError) as error:
        prompt_ids(load(stories260k), prompt)
    assert str(error.value) == sentence


@pytest.mark.parametrize("name", ["..", ".", "/", "../../x", "a b", "mlp0,attn1", "..."])
def test_a_name_never_leaves_its_directory(name):
    assert "/" not in file_name(name)
    assert not file_name(name).startswith(".") and file_name(name)
