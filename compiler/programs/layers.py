"""Layers of a model compiled: the host fills their inputs and finds their outputs apart."""

from collections.abc import Callable, Mapping
from pathlib import Path

from compiler.artifact import manifest as manifests
from compiler.artifact.program import Compiled, load
from compiler.models.origin import combined
from compiler.passes.coding import check_coding
from compiler.passes.constants import exponents
from compiler.passes.emit import emit
from compiler.passes.lower import Matrix, Stage, lower
from compiler.passes.program import image_of_layers
from compiler.passes.quantize import FromCheckpoint, Source
from compiler.storage.directory import replacing
from golden.checkpoint.checkpoint import Checkpoint
from golden.model.prepare import grids, prepare
from golden.recipe.recipe import Recipe
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams

__all__ = ["build", "build_stages"]


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
    prepared: Checkpoint | None = None,
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
    prepared : Checkpoint, optional
        The model with fold and adapter in it, where the caller has made it already.
    progress : callable
        Told each matrix's name when it is written.

    Raises
    ------
    ValueError
        In one sentence, where something asked for does not exist, fit or agree.
    """
    check_coding(coding)
    stages = lower(checkpoint.config, layers, recipe, rows, grids(checkpoint, recipe))
    made = prepare(checkpoint, recipe) if prepared is None else prepared
    return build_stages(
        stages,
        lambda matrix: FromCheckpoint(matrix, made, checkpoint),
        directory,
        params=params,
        coding=coding,
        tokens=params.tokens if tokens is None else tokens,
        about=manifests.about(made.config, recipe, coding, weights or {"weights": "real"}, layers),
        progress=progress,
    )


def build_stages(
    stages: list[Stage],
    source: Callable[[Matrix], Source],
    directory: str | Path,
    *,
    params: HwParams,
    coding: str,
    tokens: int,
    about: Mapping[str, object],
    progress: Callable[[str], None] = lambda matrix: None,
) -> Compiled:
    """Compile stages whose matrices `source` returns; `about` joins the manifest.

    Other parameters and errors are those of `build`.
    """
    image = image_of_layers(stages, params, coding, tokens)
    with replacing(Path(directory)) as work:
        contents, digests = emit(
            image,
            work,
            fingerprint(params),
            source,
            constants=exponents(stages, params),
            progress=progress,
        )
        what = {**about, "coding": coding}
        if about["weights"] == "real" and all(digests):
            what["checkpoint"] = combined(digests)
        manifests.write(manifests.of_image(image, contents, what), work)
    return load(directory, params, verify=False)
