"""Prompts: what a model can be asked to continue."""

from golden.checkpoint.checkpoint import Checkpoint

__all__ = ["prompt_ids"]


def prompt_ids(checkpoint: Checkpoint, prompt: str) -> list[int]:
    """Return a prompt's tokens; ValueError where it has none, or more than the model takes."""
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise ValueError("the prompt must be Unicode text, not bytes of another coding") from None
    ids = checkpoint.tokenizer.encode(prompt)
    if not ids:
        raise ValueError("the prompt has no token: give one that has")
    if len(ids) > checkpoint.config.max_positions:
        raise ValueError(
            f"the prompt has {len(ids)} tokens, more than the {checkpoint.config.max_positions} "
            "positions of the model: give a shorter one"
        )
    return ids
