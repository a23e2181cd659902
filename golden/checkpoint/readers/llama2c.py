"""llama2.c checkpoints in the legacy `.bin` format, with the tokenizer that lies beside them."""

import itertools
import math
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from golden.checkpoint.config import ModelConfig
from golden.checkpoint.readers import Contents, StoredTensor
from golden.checkpoint.readers.file_bytes import FileBytes, require_file
from golden.checkpoint.sentencepiece import SentencePiece
from golden.checkpoint.tokenizer import Tokenizer
from golden.console.errors import CheckpointError, CheckpointNotFoundError

__all__ = ["read"]

HEADER = struct.Struct("<7i")
VERSIONED_MAGIC = 0x616B3432  # "ak42", which begins the versions after the legacy one
BOS, EOS, FIRST_BYTE = 1, 2, 3
# What llama2.c fixes in its code rather than in the file
NORM_EPS, ROPE_THETA = 1e-5, 10000.0


def read(path: Path, name: str | None = None) -> Contents:
    """Read a legacy `.bin` file; `name` stands for the file's.

    Raises `CheckpointError` where the header makes no model, or the file is not exactly as long as
    the header says.
    """
    actual = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        raise CheckpointError(
            f"{path} is truncated (its header takes {HEADER.size} bytes, it has {actual}): "
            "get it again"
        )
    config = _config(path, HEADER.unpack(header), name)
    places, expected = _places(config)
    if actual != expected:
        raise CheckpointError(
            f"{path} is truncated or damaged (its header asks for {expected} bytes, it has "
            f"{actual}): get it again"
        )
    file = FileBytes(path)
    tensors = {
        canonical: StoredTensor(canonical, shape, _reading(file, start, shape))
        for canonical, (start, shape) in places.items()
    }
    return Contents(config, tensors, lambda: _tokenizer(path, config.vocab_size), (path,))


def _config(path: Path, header: tuple[int, ...], name: str | None) -> ModelConfig:
    if header[0] == VERSIONED_MAGIC:
        raise CheckpointError(
            f"{path} is in version {header[1]} of llama2.c's format: export the legacy version 0"
        )
    dim, hidden, layers, heads, kv_heads, vocab, positions = header
    if heads < 1 or dim % heads:
        raise CheckpointError(
            f"{path} is no llama2.c file (its header has {heads} heads for {dim} channels): "
            "get it again, or name another"
        )
    try:
        return ModelConfig(
            name=name or path.stem,
            vocab_size=abs(vocab),
            hidden_size=dim,
            ffn_size=hidden,
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=dim // heads,
            max_positions=positions,
            norm_eps=NORM_EPS,
            rope_theta=ROPE_THETA,
            rope_interleaved=True,
            tied_head=vocab > 0,
        )
    except (ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{path} is no llama2.c file ({error}): get it again, or name another"
        ) from error


def _places(config: ModelConfig) -> tuple[dict[str, tuple[int, tuple[int, ...]]], int]:
    """Return where each tensor begins (in floats from the file's start) with its shape.

    All layers of one kind lie together; the tables of cosines and sines are passed over, for they
    follow from the base. The second result is the length of the whole file in bytes.
    """
    dim, ffn, keys = config.hidden_size, config.ffn_size, config.kv_heads * config.head_dim
    kinds: list[tuple[str, tuple[int, ...]]] = [
        ("attn_norm", (dim,)),
        ("q", (dim, dim)),
        ("k", (keys, dim)),
        ("v", (keys, dim)),
        ("o", (dim, dim)),
        ("ffn_norm", (dim,)),
        ("gate", (ffn, dim)),
        ("down", (dim, ffn)),
        ("up", (ffn, dim)),
    ]
    order: list[tuple[str, tuple[int, ...]]] = [("embed", (config.vocab_size, dim))]
    order += [(f"layers.{i}.{kind}", shape) for kind, shape in kinds for i in range(config.layers)]
    order += [("final_norm", (dim,)), ("rope", (2, config.max_positions, config.head_dim // 2))]
    if not config.tied_head:
        order.append(("lm_head", (config.vocab_size, dim)))
    ends = list(itertools.accumulate((math.prod(shape) for _, shape in order), initial=7))
    places = {name: (start, shape) for (name, shape), start in zip(order, ends, strict=False)}
    del places["rope"]
    return places, 4 * ends[-1]


def _reading(
    file: FileBytes, start: int, shape: tuple[int, ...]
) -> Callable[[int, int], torch.Tensor]:
    row = math.prod(shape[1:])

    def read(first: int, end: int) -> torch.Tensor:
        values = file.read(4 * (start + first * row), 4 * (end - first) * row).view("<f4")
        return torch.from_numpy(values.astype(np.float32, copy=False)).reshape(-1, *shape[1:])

    return read


def _tokenizer(path: Path, vocab_size: int) -> Tokenizer:
    """Read the pieces from `tok<vocabulary>.bin` or `tokenizer.bin` beside the checkpoint."""
    names = (f"tok{vocab_size}.bin", "tokenizer.bin")
    file = next((path.with_name(name) for name in names if path.with_name(name).exists()), None)
    if file is None:
        raise CheckpointNotFoundError(
            f"{path} has no tokenizer: put {' or '.join(names)} beside it, or use token ids"
        )
    require_file(file)
    data, at = file.read_bytes(), 4  # after the length of the longest piece
    texts, scores = [], []
    for _ in range(vocab_size):
        try:
            score, length = struct.unpack_from("<fi", data, at)
        except struct.error:
            score, length = 0.0, -1
        if length < 0 or at + 8 + length > len(data):
            raise CheckpointError(
                f"{file} is truncated or damaged (it has {len(texts)} tokens of {vocab_size}): "
                "get it again"
            )
        texts.append(data[at + 8 : at + 8 + length].decode(errors="surrogateescape"))
        scores.append(score)
        at += 8 + length
    pieces = SentencePiece(
        texts=texts,
        scores=scores,
        byte_ids=range(FIRST_BYTE, FIRST_BYTE + 256),
        named={},
        silent=(BOS, EOS),
        bos_id=BOS,
        space_prefix=True,
    )
    return Tokenizer(pieces.encode, pieces.decode, BOS, (EOS,))
