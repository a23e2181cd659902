"""Tokenizers of scored pieces: SentencePiece's BPE, as llama2.c and LLaMA-2 GGUF files hold it."""

import heapq
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

__all__ = ["SentencePiece"]


class SentencePiece:
    """Merges the adjacent pair of the best score, the leftmost of equals, until none is left.

    Parameters
    ----------
    texts : sequence of str
        The text of each token; a space is a space.
    scores : sequence of float
        The score of each token.
    byte_ids : sequence of int
        The 256 tokens that stand for the bytes 0 to 255, for characters without a token.
    named : mapping of str to int
        Tokens that are recognized by their text before anything is merged.
    silent : sequence of int
        Tokens that decode to nothing.
    bos_id : int or None
        What every text begins with.
    space_prefix : bool
        Whether a space stands before the text, and before what follows a named token.

    Raises
    ------
    ValueError
        If there is not a token for each of the 256 bytes.
    """

    def __init__(
        self,
        *,
        texts: Sequence[str],
        scores: Sequence[float],
        byte_ids: Sequence[int],
        named: Mapping[str, int],
        silent: Sequence[int],
        bos_id: int | None,
        space_prefix: bool,
    ) -> None:
        if len(byte_ids) != 256:
            raise ValueError(f"byte tokens must be 256, not {len(byte_ids)}")
        self.texts, self.scores = texts, scores
        self.byte_ids, self.named, self.bos_id = byte_ids, named, bos_id
        self.silent, self.space_prefix = frozenset(silent), space_prefix
        self.byte_of = {token: byte for byte, token in enumerate(byte_ids)}
        unmerged = self.silent | self.byte_of.keys() | set(named.values())
        self.ids = {text: i for i, text in reversed([*enumerate(texts)]) if i not in unmerged}
        # No merge crosses two characters that no piece has side by side, so text falls apart there
        # into words, which repeat: a long text costs little more than its distinct words.
        self.joined = {text[i : i + 2] for text in self.ids for i in range(len(text) - 1)}
        names = "|".join(map(re.escape, sorted(named, key=len, reverse=True)))
        self.split_names = re.compile(f"({names})") if names else None
        self.word = lru_cache(maxsize=1 << 16)(self._merge)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, `bos_id` before it."""
        ids = [] if self.bos_id is None else [self.bos_id]
        for part in self.split_names.split(text) if self.split_names else [text]:
            if part in self.named:
                ids.append(self.named[part])
            elif part:
                part = " " + part if self.space_prefix else part
                ids += [i for word in self._words(part) for i in self.word(word)]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; the space that `encode` puts after `bos_id` is dropped."""
        begins = self.bos_id is None or list(ids[:1]) == [self.bos_id]
        data = bytearray()
        for i in ids:
            if i in self.byte_of:
                data.append(self.byte_of[i])
            elif i not in self.silent:
                data += self.texts[i].encode("utf-8", errors="surrogateescape")
        text = data.decode("utf-8", errors="replace")
        return text.removeprefix(" ") if begins and self.space_prefix else text

    def _words(self, text: str) -> list[str]:
        cuts = [i for i in range(1, len(text)) if text[i - 1 : i + 1] not in self.joined]
        return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    def _merge(self, word: str) -> tuple[int, ...]:
        parts: list[str | None] = list(word)  # None where a part went into the one before it
        following = list(range(1, len(parts) + 1))
        before = list(range(-1, len(parts) - 1))
        pairs: list[tuple[float, int, str]] = []

        def offer(left: int) -> None:
            if left >= 0 and following[left] < len(parts):
                pair = f"{parts[left]}{parts[following[left]]}"
                if pair in self.ids:
                    heapq.heappush(pairs, (-self.scores[self.ids[pair]], left, pair))

        for left in range(len(parts)):
            offer(left)
        while pairs:
            _, left, pair = heapq.heappop(pairs)
            right = following[left]
            # A pair is stale once one of its halves has been merged with something else.
            if parts[left] is None or right == len(parts) or f"{parts[left]}{parts[right]}" != pair:
                continue
            parts[left], parts[right] = pair, None
            following[left] = following[right]
            if following[left] < len(parts):
                before[following[left]] = left
            offer(before[left])
            offer(left)
        return tuple(i for part in parts if part is not None for i in self._lookup(part))

    def _lookup(self, part: str) -> list[int]:
        if part in self.ids:
            return [self.ids[part]]
        return [self.byte_ids[byte] for byte in part.encode("utf-8", errors="surrogateescape")]
