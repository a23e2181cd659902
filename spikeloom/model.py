"""Trained models: loaded or taken from memory, encoded, compiled, measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from golden.checkpoint import checkpoint as checkpoints
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.interface import Checkpoint
from golden.checkpoint.names import matrices, site_of
from golden.checkpoint.prompt import Prompt, prompt_ids
from golden.checkpoint.readers.memory import Fast, InMemory
from golden.measure.perplexity import measure, read_text, windows
from golden.model.integer import IntegerModel
from golden.model.prepare import grids, prepare
from golden.model.spiking import SpikingLinear
from golden.numerics.fixed import from_fixed
from golden.numerics.neuron import encode_vectors
from golden.recipe.known import DEFAULT_RECIPE
from golden.recipe.recipe import locate_site
from sim.check.activations import prompt_vectors
from spikeloom.choices import Hardware, Recipe, recipe
from spikeloom.measurement import Measurement
from spikeloom.spikes import Spikes

if TYPE_CHECKING:
    from spikeloom.program import Program

__all__ = ["Model", "load"]

_CONTEXT = 1024  # longest window of a perplexity unless told


def load(
    model: str | Path | InMemory, *, tokenizer: Fast | None = None, name: str | None = None
) -> "Model":
    """Return a trained model of the LLaMA, Mistral, Qwen2 or Qwen3 family.

    Parameters
    ----------
    model : str, Path or transformers.PreTrainedModel
        ``stories260k``, ``smollm2-135m`` (fetched once), a Hugging Face directory, a ``.gguf`` or a
        llama2.c ``.bin`` file; or a causal language model of transformers, in memory: bit for bit
        what loading it saved would give, without the disk, and without a copy of its weights.
    tokenizer : transformers.PreTrainedTokenizerFast, optional
        Of a model in memory. Where a model has none, texts are token ids, such as ``"1 17 4"``.
    name : str, optional
        What a model in memory is called.

    Raises
    ------
    ValueError
        In one sentence, where it is not there, is damaged, or is of another family.
    """
    if not isinstance(model, str | Path):
        return Model(checkpoints.of_model(model, tokenizer, name))
    if tokenizer is not None or name is not None:
        raise ValueError(f"tokenizer and name must be left out: {model} has its own")
    return Model(checkpoints.load(model))


class Model:
    """A trained model, as `load` returns it; its weights are read when they are needed.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model as golden reads it.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._prepared: list[tuple[Recipe, Prepared]] = []

    @property
    def name(self) -> str:
        """What it is called."""
        return self.checkpoint.config.name

    @property
    def config(self) -> ModelConfig:
        """Its shapes, the rotation of its positions, and the like."""
        return self.checkpoint.config

    @cached_property
    def sites(self) -> list[str]:
        """Where its vectors are encoded: ``layers.0.qkv``, …, ``head``, in the order of a token."""
        return list(dict.fromkeys(map(site_of, matrices(self.config))))

    def __repr__(self) -> str:
        """Return its name and size."""
        config = self.config
        return f"Model({self.name}, {config.layers} layers, {config.hidden_size} channels)"

    def tokens(self, prompt: Prompt) -> list[int]:
        """Return a prompt's token ids; raises ValueError where it has none, or too many."""
        return prompt_ids(self.checkpoint, prompt)

    def vectors(
        self, site: str, prompt: Prompt, *, recipe: str | Path | Recipe = DEFAULT_RECIPE
    ) -> NDArray[np.float64]:
        """Return the vectors that reach a site for the tokens of a prompt.

        Every matrix before the site is applied by spikes, as the recipe says; what lies between the
        matrices is in float.

        Parameters
        ----------
        site : str
            One of `sites`.
        prompt : str or sequence of int
            A text, or token ids.
        recipe : str, Path or Recipe
            As `spikeloom.recipe` takes it.

        Returns
        -------
        ndarray of float64
            (tokens, channels): Q15.16, so each is a multiple of 2^-16.

        Raises
        ------
        ValueError
            Where there is no such site or recipe, or the prompt does not suit the model.
        """
        return _real(self._fixed(site, prompt, _chosen(recipe)))

    def encode(
        self, site: str, prompt: Prompt, *, recipe: str | Path | Recipe = DEFAULT_RECIPE
    ) -> Spikes:
        """Return a site's `vectors` as the spikes that its recipe makes of them.

        Parameters and errors are those of `vectors`.
        """
        chosen = _chosen(recipe)
        vectors = torch.from_numpy(self._fixed(site, prompt, chosen))
        layer, kind = locate_site(site)
        channels = vectors.shape[1]
        found = encode_vectors(
            vectors,
            chosen.site(layer, kind, channels),
            chosen.dead_quantile(layer, kind),
            chosen.exponents_of(site, channels),
        )
        return Spikes.of_encoded([found], site)

    def compile(
        self,
        layers: str | Sequence[str] = "all",
        *,
        hardware: str | Hardware = "edge",
        recipe: str | Path | Recipe = DEFAULT_RECIPE,
        coding: str = "csd",
        tokens: int | None = None,
        rows: str | int | None = None,
        context: int | None = None,
        directory: str | Path | None = None,
    ) -> "Program":
        """Compile layers, or the whole model.

        Parameters
        ----------
        layers : str or sequence of str
            ``all``, or some of ``mlpN``, ``attnN``, single matrices (``gateN``, ``up0``, …) and
            ``lm_head``.
        hardware : str or Hardware
            As `spikeloom.hardware` takes it.
        recipe : str, Path or Recipe
            As `spikeloom.recipe` takes it.
        coding : str
            ``unary``, ``bitwise`` or ``csd``.
        tokens : int, optional
            Of layers, vectors of each input; by default as many as share a weight.
        rows : str or int, optional
            Of a single matrix, the output channels: ``A:B`` or a count.
        context : int, optional
            Of the whole model, positions to make room for; by default all that it has.
        directory : str or Path, optional
            Where the program goes, in place of what is there; by default it lasts as long as the
            object.

        Raises
        ------
        ValueError
            In one sentence, where something asked for does not exist, fit or agree.
        OSError
            Where the directory cannot be written.
        """
        from spikeloom.program import compiled

        return compiled(
            self,
            [layers] if isinstance(layers, str) else list(layers),
            hardware=hardware,
            recipe=_chosen(recipe),
            coding=coding,
            tokens=tokens,
            rows=None if rows is None else str(rows),
            context=context,
            directory=directory,
        )

    def open(self, directory: str | Path) -> "Program":
        """Return what was compiled of this model into a directory.

        Raises
        ------
        ValueError
            In one sentence, where it is no compiled directory, is damaged, or is of other weights.
        """
        from spikeloom.program import opened

        return opened(self, directory)

    def generate(
        self, prompt: Prompt, tokens: int = 64, *, recipe: str | Path | Recipe = DEFAULT_RECIPE
    ) -> str:
        """Continue a text by the golden model in integers: what every device makes of it.

        Parameters
        ----------
        prompt : str or sequence of int
            A text, or token ids.
        tokens : int
            How many are added at most; a token that ends a text ends it.
        recipe : str, Path or Recipe
            As `spikeloom.recipe` takes it.

        Returns
        -------
        str
            What follows the prompt.

        Raises
        ------
        ValueError
            Where there is no such recipe, or the tokens are more than the model's positions.
        """
        ids = self.tokens(prompt)
        limit = self.config.max_positions
        if tokens < 1 or len(ids) + tokens > limit:
            raise ValueError(
                f"tokens must be 1 to {limit - len(ids)} after a prompt of {len(ids)}, not {tokens}"
            )
        chosen = _chosen(recipe)
        model = IntegerModel(self.prepared(chosen).checkpoint, chosen)
        tokenizer = self.checkpoint.tokenizer
        made = model.generate(ids, tokens, tokenizer.eos_ids)
        return tokenizer.decode([*ids, *made])[len(tokenizer.decode(ids)) :]

    def perplexity(
        self,
        *,
        text: str | Sequence[str] | None = None,
        file: str | Path | None = None,
        recipe: str | Path | Recipe = DEFAULT_RECIPE,
        context: int | None = None,
        tokens: int | None = None,
        arithmetic: Literal["float", "integer"] = "float",
    ) -> Measurement:
        """Measure perplexity in fp32 and by spikes, and how each site fires.

        The text is cut into windows that do not overlap; in each, every token but the first is
        predicted from those before it.

        Parameters
        ----------
        text : str or sequence of str
            A document, or several.
        file : str or Path
            Instead of a text, where one is: UTF-8, a line ``<|endoftext|>`` ends a document.
        recipe : str, Path or Recipe
            As `spikeloom.recipe` takes it.
        context : int, optional
            Tokens of a window; by default 1024, or all positions of a smaller model.
        tokens : int, optional
            How many of the text are used; by default all.
        arithmetic : str
            What is between the matrices of the spiking model: ``float``, or ``integer`` as on a
            device.

        Returns
        -------
        Measurement
            ``fp32.perplexity``, ``spiking.perplexity``, ``skipped``, ``table()`` and more.

        Raises
        ------
        ValueError
            Where there is no such file, recipe or arithmetic, the text is too short, or the context
            cannot be.
        """
        limit = self.config.max_positions
        context = min(_CONTEXT, limit) if context is None else context
        if not 2 <= context <= limit:
            raise ValueError(f"context must be from 2 to {limit} for this model, not {context}")
        documents = _documents(text, file)
        batches = list(windows(documents, self.checkpoint.tokenizer.encode, context, tokens))
        if not batches:
            raise ValueError("the text must have at least 2 tokens to predict one")
        found = measure(self.checkpoint, _chosen(recipe), batches, arithmetic=arithmetic)
        return Measurement(**vars(found))

    def prepared(self, recipe: Recipe) -> "Prepared":
        """Return what a recipe makes of the model; that of the last recipe is kept."""
        if not self._prepared or self._prepared[0][0] != recipe:
            folded = prepare(self.checkpoint, recipe)
            linear = SpikingLinear(folded.config, folded.tensor, recipe, grid=grids(folded, recipe))
            self._prepared = [(recipe, Prepared(folded, linear))]
        return self._prepared[0][1]

    def _fixed(self, site: str, prompt: Prompt, recipe: Recipe) -> NDArray[np.int32]:
        if site not in self.sites:
            shown = f"{self.sites[0]}, …, {self.sites[-1]} (see sites)"
            raise ValueError(f"site must be one of {shown}, not {site!r}")
        ids, ready = self.tokens(prompt), self.prepared(recipe)
        return prompt_vectors(ready.checkpoint, ready.linear, [site], ids, len(ids))[site]


@dataclass(frozen=True)
class Prepared:
    """A model by a recipe: its checkpoint after fold and adapter, and its spike-driven matrices."""

    checkpoint: Checkpoint
    linear: SpikingLinear


def _documents(text: str | Sequence[str] | None, file: str | Path | None) -> list[str]:
    if (text is None) == (file is None):
        raise ValueError('either text="Once upon…" or file="stories.txt" must be given')
    if file is not None:
        return read_text(Path(file))
    documents = [text] if isinstance(text, str) else text
    if not isinstance(documents, Sequence) or not all(isinstance(one, str) for one in documents):
        raise ValueError("text must be a string, or several; a file is given by file=")
    return list(documents)


def _chosen(choice: str | Path | Recipe) -> Recipe:
    return recipe(choice)


def _real(x: NDArray[np.int32]) -> NDArray[np.float64]:
    return from_fixed(torch.from_numpy(x)).numpy()
