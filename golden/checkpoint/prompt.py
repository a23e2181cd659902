"""Prompts: what a model can be asked to continue."""

from collections.abc import Iterable, Sequence
from numbers import Integral

from golden.checkpoint.checkpoint import Checkpoint

__all__ = ["Prompt", "prompt_ids"]

Prompt = str | Sequence[int]
"""A text, or token ids."""


def prompt_ids(checkpoint: Checkpoint, prompt: Prompt) -> list[int]:
    """Return a prompt's tokens; a prompt may be tokens already.

    Raises
    ------
    ValueError
        Where it has none, more than the model takes, or one that is not in the vocabulary.
    """
    if not isinstance(prompt, Iterable):
        raise ValueError(f"the prompt must be a text or token ids, not {prompt!r}")
    ids = _encoded(checkpoint, prompt) if isinstance(prompt, str) else list(prompt)
    if other := [token for token in ids if not isinstance(token, Integral)]:
        raise ValueError(f"a token of the prompt must be a whole number, not {other[0]!r}")
    nothing = isinstance(prompt, str) and not prompt  # some tokenizers make a token of it
    if nothing or not ids:
        raise ValueError("the prompt has no token: give one that has")
    vocabulary = checkpoint.config.vocab_size
    if beyond := [token for token in ids if not 0 <= token < vocabulary]:
        raise ValueError(f"a token of the prompt must be 0 to {vocabulary - 1}, not {beyond[0]}")
    if len(ids) > checkpoint.config.max_positions:
        raise ValueError(
            f"the prompt has {len(ids)} tokens, more than the {checkpoint.config.max_positions} "
            "positions of the model: give a shorter one"
        )
    return ids


def _encoded(checkpoint: Checkpoint, prompt: str) -> list[int]:
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise ValueError("the prompt must be Unicode text, not bytes of another coding") from None
    return checkpoint.tokenizer.encode(prompt)
