"""The passes one after another: from a checkpoint to a compiled directory."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from compiler.artifact import manifest as manifests
from compiler.artifact.origin import checksum
from compiler.artifact.program import Compiled, load
from compiler.passes.emit import Shards, Weights, contents_of, emit_matrix, emit_program
from compiler.passes.lower import Matrix, Stage, lower
from compiler.passes.place import place
from compiler.passes.schedule import instruction_count, schedule
from compiler.passes.tile import check
from compiler.storage.directory import replacing
from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.names import bias_of
from golden.model.prepare import prepare
from golden.numerics.fixed import to_fixed
from golden.numerics.weights import quantize_rows
from golden.recipe.adapter import adapter_entry
from golden.recipe.fold_file import fold_entry
from golden.recipe.recipe import Recipe
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Coding
from hw.contract.params import HwParams

__all__ = [
    "build",
    "build_stages",
    "check_coding",
    "coding_names",
    "quantized",
    "recipe_entry",
]


def coding_names() -> list[str]:
    """Return the names of the codings that hardware knows."""
    return [coding.name.lower() for coding in Coding]


def check_coding(coding: str) -> None:
    """Raise ValueError where hardware knows no coding of that name."""
    if coding not in coding_names():
        raise ValueError(f"coding must be one of {', '.join(coding_names())}, not {coding!r}")


def build(
    checkpoint: Checkpoint,
    layers: list[str],
    directory: str | Path,
    *,
    params: HwParams,
    recipe: Recipe,
    coding: str = "csd",
    tokens: int | None = None,
    rows: str | None = None,
    weights: dict[str, object] | None = None,
    progress: Callable[[str], None] = lambda matrix: None,
) -> Compiled:
    """Compile layers of a trained model.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    layers : list of str
        ``mlpN``, ``attnN``, single matrices (``gateN`` ...) or ``lm_head``.
    directory : path
        Where it is written, whole or not at all.
    params : HwParams
        The hardware.
    recipe : Recipe
        How the model becomes spike-driven; its fold and adapter go into the checkpoint first.
    coding : str
        ``unary``, ``bitwise`` or ``csd``.
    tokens : int, optional
        Vectors of every input; by default as many as share a weight, `params.tokens`.
    rows : str, optional
        Output channels of a single matrix: ``A:B`` or a count.
    weights : dict, optional
        What the manifest says of the weights where they are not real ones.
    progress : callable
        Told each matrix's name when it is written.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist, fit or agree.
    """
    lower(checkpoint.config, layers, recipe, rows)  # refuses before the fold takes its time
    origin, checkpoint = checkpoint, prepare(checkpoint, recipe)
    stages = lower(checkpoint.config, layers, recipe, rows)
    matrices = [matrix for stage in stages for matrix in stage.matrices]
    parts = [(matrix.name, matrix.first_row, matrix.outputs) for matrix in matrices]
    return build_stages(
        stages,
        lambda matrix: quantized(checkpoint, matrix),
        directory,
        params=params,
        coding=coding,
        tokens=params.tokens if tokens is None else tokens,
        about={
            "model": asdict(checkpoint.config),
            **(weights or {"weights": "real", "checkpoint": checksum(origin, parts)}),
            "layers": layers,
            "recipe": recipe_entry(recipe),
        },
        progress=progress,
    )


def build_stages(
    stages: list[Stage],
    weights: Callable[[Matrix], Weights],
    directory: str | Path,
    *,
    params: HwParams,
    coding: str,
    tokens: int,
    about: dict[str, object],
    progress: Callable[[str], None] = lambda matrix: None,
) -> Compiled:
    """Compile stages whose weights `weights` returns one at a time; `about` joins the manifest.

    Other parameters and errors are those of `build`.
    """
    if tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {tokens}")
    check_coding(coding)
    check(stages, params)
    count = instruction_count(stages, params, tokens)
    regions = place(stages, params, tokens=tokens, instructions=count)
    program = schedule(stages, regions, params, coding=Coding[coding.upper()], tokens=tokens)
    identity = fingerprint(params)
    with replacing(Path(directory)) as work:
        shards = Shards(work, contents_of(stages, regions))
        for stage in stages:
            for matrix in stage.matrices:
                emit_matrix(matrix, weights(matrix), regions, params, shards)
                progress(matrix.name)
        contents = {"program": emit_program(program, identity, work), **shards.contents}
        last = [*regions.values()][-1]
        manifest = {
            "format": manifests.FORMAT,
            "kind": "layers",
            **about,
            "coding": coding,
            "params": params.as_dict(),
            "fingerprint": identity,
            "tokens": tokens,
            "memory_bytes": last.address + last.bytes,
            "regions": {
                name: {**vars(region), **contents.get(name, {})} for name, region in regions.items()
            },
            "operations": manifests.operations(stages, enumerate(program), params),
        }
        manifests.write(manifest, work)
    return load(directory, params)


def quantized(checkpoint: Checkpoint, matrix: Matrix) -> Weights:
    """Return a matrix's codes, scales and biases, as numerics, section 4, has them."""
    rows = slice(matrix.first_row, matrix.first_row + matrix.outputs)
    weight = quantize_rows(
        matrix.name,
        checkpoint.tensor(matrix.name)[rows],
        matrix.weight_width,
        matrix.first_row,
        getattr(checkpoint, "path", None),  # synthetic ones have none
    )
    bias = None
    if name := bias_of(matrix.name, checkpoint.config):
        bias = to_fixed(checkpoint.tensor(name)[rows]).numpy()
    return Weights(weight.codes.numpy(), weight.mantissa.numpy(), weight.exponent.numpy(), bias)


def recipe_entry(recipe: Recipe) -> dict[str, object]:
    """Return every setting of a recipe as plain JSON values."""
    return {
        "name": recipe.name,
        "fold": fold_entry(recipe.fold),
        "adapter": adapter_entry(recipe.adapter),
        "default": vars(recipe.default),
        "sites": {site: vars(settings) for site, settings in recipe.sites.items()},
        "layer_sites": {
            f"layers.{layer}.{site}": vars(settings)
            for (layer, site), settings in recipe.layer_sites.items()
        },
    }
