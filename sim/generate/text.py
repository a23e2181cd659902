"""A text that a device continues: its tokens before, the registers for it, its tokens after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy

from golden.checkpoint.interface import Checkpoint
from golden.checkpoint.prompt import Prompt, prompt_ids
from sim.device import NO_TOKEN, Registers, Result

__all__ = ["Text", "decoded", "difference", "made_tokens", "registers_of", "text_ids"]


@dataclass(frozen=True, kw_only=True)
class Text:
    """Turns tokens into text as they come.

    Parameters
    ----------
    checkpoint : Checkpoint
        Whose tokens they are.
    write : callable
        Is given what is added to the text.
    tell : callable
        Is told of each token its number, and the cycles so far where the device knows.
    progress : callable
        Is told how many positions are done, and how many there are at most.
    ids : list of int
        All tokens so far; they begin as the prompt's.
    prompt_end, tokens : int
        How many the prompt has, and how many are to follow at most.
    """

    checkpoint: Checkpoint
    write: Callable[[str], None]
    tell: Callable[[str], None]
    progress: Callable[[int, int], None]
    ids: list[int]
    prompt_end: int
    tokens: int

    def begin(self) -> None:
        """Write the prompt."""
        self.write(decoded(self.checkpoint, self.ids))

    def take(self, position: int, token: int, cycles: int | None = None) -> None:
        """Add what a device puts at a position, unless it is the prompt's or the text has ended."""
        stop = self.checkpoint.tokenizer.eos_ids
        ended = len(self.ids) > self.prompt_end and self.ids[-1] in stop
        if position < self.prompt_end or ended:
            return
        self._add(token)
        number = f"token {len(self.ids) - self.prompt_end} of {self.tokens}"
        self.tell(number if cycles is None else f"{number}, {cycles:,} cycles")
        self.progress(position, self.prompt_end + self.tokens - 1)

    def catch_up(self, made: Sequence[int]) -> None:
        """Add those of all tokens made that a device has told nothing of."""
        for token in made[len(self.ids) - self.prompt_end :]:
            self._add(token)

    def _add(self, token: int) -> None:
        before = decoded(self.checkpoint, self.ids).rstrip("\ufffd")
        self.ids.append(token)
        # A character may take several tokens; until then they decode to this one.
        self.write(decoded(self.checkpoint, self.ids).rstrip("\ufffd")[len(before) :])


def decoded(checkpoint: Checkpoint, ids: Sequence[int]) -> str:
    """Return the text of tokens, without those that faulty hardware made up."""
    vocabulary = range(checkpoint.config.vocab_size)
    return checkpoint.tokenizer.decode([token for token in ids if token in vocabulary])


def text_ids(checkpoint: Checkpoint, prompt: Prompt, tokens: int, context: int) -> list[int]:
    """Return a prompt's tokens; raises ValueError where too many are to follow."""
    ids = prompt_ids(checkpoint, prompt)
    if len(ids) + tokens > context:
        raise ValueError(
            f"the prompt has {len(ids)} tokens and {tokens} are to follow, more than the "
            f"{context} positions that the model is compiled for: ask for fewer"
        )
    return ids


def registers_of(ids: list[int], checkpoint: Checkpoint, tokens: int) -> Registers:
    """Return registers for a run; of several tokens that end a text, hardware knows the first."""
    stop = checkpoint.tokenizer.eos_ids
    return Registers(
        prompt_end=len(ids),
        end_position=len(ids) + tokens - 1,  # the last token is made there
        stop_token=stop[0] if stop else NO_TOKEN,
    )


def made_tokens(
    tokens: numpy.ndarray, ids: list[int], finished: Result, checkpoint: Checkpoint
) -> list[int]:
    """Return the tokens after the prompt, up to the first that ends a text."""
    made = tokens[len(ids) : finished.position + 1].tolist()
    stop = checkpoint.tokenizer.eos_ids
    ends = next((at for at, token in enumerate(made) if token in stop), len(made))
    return made[: ends + 1]


def difference(want: list[int], made: list[int], first: int, device: str) -> list[str]:
    """Return where two runs of tokens, from position `first` on, first differ, as a sentence."""
    for at, (ours, theirs) in enumerate(zip_longest(made, want)):
        if ours != theirs:
            said = ["no token" if token is None else f"token {token}" for token in (theirs, ours)]
            return [f"position {first + at}: golden says {said[0]}, {device} says {said[1]}"]
    return []
