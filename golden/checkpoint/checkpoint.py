"""Trained checkpoints of the LLaMA family, read from any of three formats into one description."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from golden.checkpoint import fetch
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.interface import Checkpoint
from golden.checkpoint.names import tensor_shapes
from golden.checkpoint.readers import Contents, StoredGrid, gguf, hf, llama2c, memory
from golden.checkpoint.readers.file_bytes import require_file
from golden.checkpoint.rope import rope_table
from golden.checkpoint.sound import sound_grid, sound_rows
from golden.checkpoint.tokenizer import Tokenizer, of_ids
from golden.console.errors import CheckpointError, CheckpointNotFoundError

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "CheckpointNotFoundError",
    "ModelConfig",
    "load",
    "of_model",
]


class LoadedCheckpoint:
    """A checkpoint: its configuration at once, its tensors one by one when asked for.

    Parameters
    ----------
    path : Path
        Where it lies; of a model in memory its name, for messages.
    contents : Contents
        What its reader found there.

    Raises
    ------
    CheckpointError
        If a tensor is missing or does not have the shape that the configuration asks for.
    """

    def __init__(self, path: Path, contents: Contents) -> None:
        self.path = path
        self.config = contents.config
        self._contents = contents
        self._tokenizer: Tokenizer | None = None
        self._shapes = tensor_shapes(self.config)
        extra = contents.tensors.keys() - self._shapes.keys() - {"lm_head"}
        if extra:
            raise CheckpointError(
                f"{path} holds the tensor {min(extra)}, which its configuration has no place for: "
                "configuration and weights do not belong together"
            )
        for name, shape in self._shapes.items():
            stored = contents.tensors.get(name)
            if stored is None:
                raise CheckpointError(
                    f"{path} lacks the tensor {name}: it is incomplete, get it again"
                )
            if stored.shape != shape:
                raise CheckpointError(
                    f"{path}: {stored.name} must have the shape {list(shape)}, not "
                    f"{list(stored.shape)}: configuration and weights do not belong together"
                )

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer beside or in the checkpoint; where there is none, texts are token ids.

        A damaged one raises `CheckpointError`.
        """
        if self._tokenizer is None:
            try:
                self._tokenizer = self._contents.tokenizer()
            except CheckpointNotFoundError as missing:
                self._tokenizer = of_ids(missing)
        return self._tokenizer

    def names(self) -> list[str]:
        """Return the canonical names of the tensors; a tied output head is not among them."""
        return list(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor without reading it; a matrix is (outputs, inputs)."""
        return self._shapes[self._resolve(name)]

    def tensor(self, name: str) -> Tensor:
        """Read a tensor in float32.

        Parameters
        ----------
        name : str
            `embed`, `layers.{i}.` followed by attn_norm, q, k, v, o, q_bias, k_bias, v_bias,
            q_norm, k_norm, ffn_norm, gate, up or down, `final_norm`, or `lm_head` (the embedding
            where the head is tied).

        Returns
        -------
        Tensor
            Of shape `shape(name)`. It is read anew on every call.

        Raises
        ------
        ValueError
            If the model has no such tensor.
        CheckpointError
            If its values cannot be read, or are not all finite.
        """
        return self.rows(name, 0, self.shape(name)[0])

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Read rows `start` to `stop` of a tensor, or so many elements of one with a single axis.

        Parameters, results and errors are those of `tensor`.
        """
        return sound_rows(self.path, self._contents.tensors[self._resolve(name)], start, stop)

    def grid(self, name: str) -> StoredGrid | None:
        """Return the grid that a matrix lies on in its file, if it does on one; see `StoredGrid`.

        Its `read` raises `CheckpointError`.
        """
        return sound_grid(self.path, self._contents.tensors[self._resolve(name)])

    def format(self, name: str) -> str:
        """Return what a file holds a tensor's numbers in, such as Q4_1; empty if unknown."""
        return self._contents.tensors[self._resolve(name)].format

    @property
    def stamp(self) -> list[list[str | int]]:
        """What tells its weights from others without reading them: of each file name, bytes, time.

        JSON values; the time is that of the last change, in nanoseconds. Of a model in memory it is
        a digest of its weights.
        """
        if self._contents.stamp is not None:
            return [[self.config.name, self._contents.stamp()]]
        states = [(path.name, path.stat()) for path in self._contents.files]
        return [[name, state.st_size, state.st_mtime_ns] for name, state in states]

    def _resolve(self, name: str) -> str:
        """Return the name of the tensor that is stored; the tied head is the embedding."""
        if name == "lm_head" and self.config.tied_head:
            return "embed"
        if name not in self._shapes:
            raise ValueError(f"{self.config.name} has no tensor {name}")
        return name


def load(model: str | Path, progress: Callable[[int, int], None] | None = None) -> Checkpoint:
    """Open a checkpoint; its weights are read later, when they are asked for.

    Parameters
    ----------
    model : str or Path
        `smollm2-135m` (fetched when it is not cached), `stories260k`, a Hugging Face directory, a
        `.gguf` file or a llama2.c `.bin` file.
    progress : callable, optional
        Called with the bytes that have come and those to come in all, while a model is fetched.

    Raises
    ------
    CheckpointError
        If it is not there, is damaged, or is not of the LLaMA, Mistral, Qwen2 or Qwen3 family.
        The message is one sentence that says what, where and what to do.
    """
    if str(model) in fetch.KNOWN:
        path = fetch.locate(str(model), progress)
        name = str(model)
    else:
        path, name = Path(model), None
    if not path.exists():
        raise CheckpointNotFoundError(
            f"there is no checkpoint {path}: name a Hugging Face directory, a .gguf file, a "
            f"llama2.c .bin file, or one of {', '.join(fetch.KNOWN)}"
        )
    try:
        return _opened(path, _reader(path)(path, name))
    except (ArithmeticError, TypeError, RecursionError) as error:
        # Values of the wrong kind, deep inside what a file says of itself.
        raise CheckpointError(
            f"{path} is damaged, its configuration cannot be used ({error}): get it again"
        ) from error
    except OSError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error


def of_model(
    model: memory.InMemory, tokenizer: memory.Fast | None = None, name: str | None = None
) -> Checkpoint:
    """Take a model of transformers from memory: as `load` would read what it saves, bit for bit.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A causal language model. Its weights are not copied: what changes them changes these.
    tokenizer : transformers.PreTrainedTokenizerFast, optional
        Its tokenizer.
    name : str, optional
        What it is called; by default the last part of what it was loaded by, else ``model``.

    Raises
    ------
    CheckpointError
        If it is not of the LLaMA, Mistral, Qwen2 or Qwen3 family, or its weights are not there.
    """
    if not hasattr(getattr(model, "config", None), "to_json_string"):
        raise CheckpointError(
            f"the model must be a causal language model of transformers, not {type(model).__name__}"
        )
    name = name or memory.name_of(model)
    try:
        return _opened(Path(name), memory.read(model, tokenizer, name))
    except (ArithmeticError, TypeError) as error:
        raise CheckpointError(f"{name} has a configuration that cannot be used: {error}") from error


def _opened(path: Path, contents: Contents) -> Checkpoint:
    checkpoint = LoadedCheckpoint(path, contents)
    _try_rotation(checkpoint.config)
    return checkpoint


def _try_rotation(config: ModelConfig) -> None:
    """Find the rotation of one position: its parameters are the ones that nothing else uses."""
    cos, sin = rope_table(torch.ones(1), config.head_dim, config.rope_theta, config.rope_scaling)
    if not (cos.isfinite().all() and sin.isfinite().all()):
        raise ArithmeticError("its rotary embedding is not finite")


def _reader(path: Path) -> Callable[[Path, str | None], Contents]:
    """Return the reader for what lies at `path`, by its first bytes rather than by its name."""
    if path.is_dir():
        return hf.read
    require_file(path)
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == gguf.MAGIC or path.suffix == ".gguf":
        return gguf.read
    if path.suffix == ".bin":
        return llama2c.read
    raise CheckpointError(
        f"{path} is no checkpoint: name a Hugging Face directory, a .gguf file or a llama2.c "
        ".bin file"
    )
