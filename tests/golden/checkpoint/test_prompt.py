"""Prompts: text, or token ids where a checkpoint has no tokenizer."""

import pytest

from golden.checkpoint.checkpoint import load, of_model
from golden.checkpoint.prompt import prompt_ids
from golden.console.errors import CheckpointError
from tests.golden.make_checkpoints import random_model


def test_without_a_tokenizer_texts_are_token_ids(seed):
    checkpoint = of_model(random_model("llama", seed), name="tiny")
    assert prompt_ids(checkpoint, "1 17, 4") == [1, 17, 4]
    assert checkpoint.tokenizer.decode([1, 17, 4]) == "1 17 4"
    with pytest.raises(CheckpointError, match="^tiny has no tokenizer: give one"):
        prompt_ids(checkpoint, "Once upon a time")


def test_ids_stand_for_a_prompt_even_where_there_is_a_tokenizer(stories260k):
    checkpoint = load(stories260k)
    ids = prompt_ids(checkpoint, "Once upon a time")
    assert prompt_ids(checkpoint, ids) == ids
    assert prompt_ids(checkpoint, tuple(ids)) == ids


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ([], "the prompt has no token: give one that has"),
        ([1, 512], "a token of the prompt must be 0 to 511, not 512"),
        ([-1], "a token of the prompt must be 0 to 511, not -1"),
        ([1] * 513, "the prompt has 513 tokens, more than the 512 positions of the model: give a "),
    ],
)
def test_tokens_that_cannot_be_are_refused(stories260k, prompt, sentence):
    with pytest.raises(ValueError) as error:
        prompt_ids(load(stories260k), prompt)
    assert str(error.value).startswith(sentence)
