"""Text to token ids and back, for the tokenizers that checkpoints of the family carry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer
from tokenizers.models import BPE

from golden.checkpoint.readers.file_bytes import require_file
from golden.checkpoint.sentencepiece import SentencePiece
from golden.console.errors import CheckpointError, CheckpointNotFoundError

__all__ = ["Tokenizer", "from_gguf", "from_hf", "of_fast", "of_ids"]


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """How a byte-level vocabulary cuts text before it merges; the pattern None is GPT-2's own."""

    pattern: str | None = None
    lone_digits: bool = False  # every digit is cut off before the pattern applies
    whole_words: bool = False  # a word that is a token is taken as it is, whatever the merges say
    composed: bool = False  # text is brought into Unicode's composed form (NFC) first
    begins: bool = False  # the token for the beginning is put there unless metadata forbid it


_LLAMA3_CUT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2_CUT = _LLAMA3_CUT.replace(r"\p{N}{1,3}", r"\p{N}")
# By the names that llama.cpp gives them
_CUTS = {
    "gpt-2": _Cut(),
    "smollm": _Cut(lone_digits=True),
    "llama-bpe": _Cut(pattern=_LLAMA3_CUT, whole_words=True, begins=True),
    "qwen2": _Cut(pattern=_QWEN2_CUT, composed=True),
}
# What GGUF calls the types of tokens
_CONTROL, _USER_DEFINED, _BYTE = 3, 4, 6


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer as its model was trained with it.

    Parameters
    ----------
    encode : callable
        Text to a list of ids, with the token for the beginning where the model expects one.
    decode : callable
        A sequence of ids to text, without the tokens for beginning and end.
    bos_id : int or None
        The token for the beginning of a text.
    eos_ids : tuple of int
        The tokens that end a text.
    """

    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    bos_id: int | None
    eos_ids: tuple[int, ...]


def from_hf(directory: Path, bos_id: int | None, eos_ids: tuple[int, ...]) -> Tokenizer:
    """Read `tokenizer.json`; `CheckpointError` where it is missing or damaged."""
    path = directory / "tokenizer.json"
    if not path.exists():
        raise CheckpointNotFoundError(
            f"{directory} has no tokenizer.json: get it too (the save_pretrained of transformers "
            "writes one), or use token ids"
        )
    require_file(path)
    try:
        fast = FastTokenizer.from_file(str(path))
    except Exception as error:  # the package raises Exception itself for a damaged file
        raise CheckpointError(f"{path} is damaged ({error}): get it again") from error
    return of_fast(fast, bos_id, eos_ids)


def of_fast(fast: FastTokenizer, bos_id: int | None, eos_ids: tuple[int, ...]) -> Tokenizer:
    """Return a tokenizer of the package tokenizers, which it changes, as one of a model."""
    fast.no_truncation()  # some carry what a training run had set
    fast.no_padding()
    return _from_fast(fast, bos_id, eos_ids)


def from_gguf(path: Path, metadata: dict[str, Any]) -> Tokenizer:
    """Build the tokenizer that the metadata of a GGUF file describe."""
    fields = {
        key.removeprefix("tokenizer.ggml."): value
        for key, value in metadata.items()
        if key.startswith("tokenizer.ggml.")
    }
    if "tokens" not in fields:
        raise CheckpointNotFoundError(f"{path} has no tokenizer: use another file, or token ids")
    build = {"gpt2": _byte_level, "llama": _scored}.get(fields.get("model", ""))
    if build is None:
        raise CheckpointError(
            f"{path}: the tokenizer must be of the kind gpt2 or llama, not {fields.get('model')}: "
            "use the model's Hugging Face directory"
        )
    try:
        return build(path, fields)
    except CheckpointError:
        raise
    except Exception as error:  # the package raises Exception itself for what does not fit
        raise CheckpointError(
            f"{path}: the tokenizer is damaged ({error}): get it again"
        ) from error


def of_ids(missing: CheckpointNotFoundError) -> Tokenizer:
    """Return what stands for a tokenizer that is not there: a text is token ids, such as `1 17 4`.

    Any other text is refused with `missing`.
    """

    def encode(text: str) -> list[int]:
        try:
            return [int(word) for word in text.replace(",", " ").split()]
        except ValueError:
            raise missing from None

    return Tokenizer(encode, lambda ids: " ".join(map(str, ids)), None, ())


def _ends(fields: dict[str, Any]) -> tuple[int | None, tuple[int, ...]]:
    """Return the ids of beginning and end that the metadata of a GGUF file name."""
    ends = (fields.get("eos_token_id"), fields.get("eot_token_id"))
    return fields.get("bos_token_id"), tuple(dict.fromkeys(i for i in ends if i is not None))


def _byte_level(path: Path, fields: dict[str, Any]) -> Tokenizer:
    """Build a byte-level BPE tokenizer (GPT-2's kind) from GGUF metadata."""
    cut = _CUTS.get(fields.get("pre", ""))
    if cut is None:
        raise CheckpointError(
            f"{path}: the pre-tokenizer must be one of {', '.join(_CUTS)}, not "
            f"{fields.get('pre')}: use the model's Hugging Face directory"
        )
    tokens = fields["tokens"]
    types = fields.get("token_type", [])
    merges = [tuple(merge.split(" ", 1)) for merge in fields.get("merges", [])]
    model = BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=merges,
        ignore_merges=cut.whole_words,
    )
    fast = FastTokenizer(model)
    steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if cut.lone_digits else []
    if cut.pattern is not None:
        steps.append(pre_tokenizers.Split(Regex(cut.pattern), "isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut.pattern is None))
    fast.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if cut.composed:
        fast.normalizer = normalizers.NFC()
    fast.decoder = decoders.ByteLevel()
    named = [(tokens[i], kind) for i, kind in enumerate(types) if kind in (_CONTROL, _USER_DEFINED)]
    fast.add_special_tokens([AddedToken(t, normalized=False) for t, k in named if k == _CONTROL])
    fast.add_tokens([AddedToken(t, normalized=False) for t, k in named if k == _USER_DEFINED])
    bos_id, eos_ids = _ends(fields)
    prefix = [bos_id] if fields.get("add_bos_token", cut.begins) and bos_id is not None else []
    return _from_fast(fast, bos_id, eos_ids, prefix)


def _from_fast(
    fast: FastTokenizer,
    bos_id: int | None,
    eos_ids: tuple[int, ...],
    prefix: Sequence[int] = (),
) -> Tokenizer:
    return Tokenizer(
        encode=lambda text: [*prefix, *fast.encode(text).ids],
        decode=lambda ids: fast.decode(list(ids)),
        bos_id=bos_id,
        eos_ids=eos_ids,
    )


def _scored(path: Path, fields: dict[str, Any]) -> Tokenizer:
    """Build a tokenizer of scored pieces (SentencePiece's kind) from GGUF metadata."""
    tokens = [token.replace("\u2581", " ") for token in fields["tokens"]]
    types, scores = fields.get("token_type", []), fields.get("scores", [])
    if not len(types) == len(scores) == len(tokens):
        raise CheckpointError(
            f"{path}: the tokenizer has {len(tokens)} tokens, {len(types)} types and "
            f"{len(scores)} scores: get it again"
        )
    bos_id, eos_ids = _ends(fields)
    named = {tokens[i]: i for i, t in enumerate(types) if t in (_CONTROL, _USER_DEFINED)}
    pieces = SentencePiece(
        texts=tokens,
        scores=scores,
        byte_ids=[i for i, kind in enumerate(types) if kind == _BYTE],
        named=named,
        silent=[i for i, kind in enumerate(types) if kind == _CONTROL],
        bos_id=bos_id if fields.get("add_bos_token", True) else None,
        space_prefix=fields.get("add_space_prefix", True),
    )
    return Tokenizer(pieces.encode, pieces.decode, bos_id, eos_ids)
