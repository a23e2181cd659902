"""Recipes: how a model's linear layers become spike-driven, from a small TOML file.

A recipe states each setting once for the whole model, and again where a site differs::

    weight_bits = 8        # 8, 4 or 2
    weights = "rows"       # rows; or native, auto: the grid of the file (golden.recipe.settings)
    scale_bits = 16        # of the groups of such a grid: 16 or 8
    max_count = 127        # D, 1 to 127
    rule = "absmax"        # absmax, mean or static
    clip = 1.0             # c, a multiple of 1/256 (absmax and static)
    dead_zone = 0.02       # smaller magnitudes do not fire
    shifts = 0             # groups of 32 channels: thresholds up to 2^shifts times finer, 0 to 3

    [site.qkv]             # sites: qkv, o, gate_up, down, head, query, probabilities
    rule = "mean"
    kappa = 3.0            # the threshold is mean|x| / kappa

    [site.o]
    dead_quantile = 0.25   # golden model only: each token's smallest quarter does not fire

    [layer.29.down]        # one site of one layer
    rule = "static"
    peak = 40.0            # calibrated largest magnitude

    [fold]                 # change the checkpoint first, exactly: see golden.recipe.fold
    text = "Once upon..."  # on which that is found, each time; or
    file = "x.fold.npz"    # what was found, in a file beside the recipe

    [adapter]              # and then its matrices, by a correction of low rank
    file = "x.adapter.npz" # beside the recipe

    [exponents]            # and powers of two that channels are divided by
    file = "x.exponents.npz"

A site inherits what it does not state. With another rule it inherits none of the settings of the
old one, and with one kind of dead zone not the other.

`query` and `probabilities`, the sites within attention, feed no matrix: they inherit nothing from
the whole model (by absmax, with D = 127 and no dead zone, unless they state otherwise) and have no
`weights`, `weight_bits` and `scale_bits`. The probabilities of a token are as many as the positions
it sees, and are encoded times the scale of their value row times 2^12, which is what a `peak` or
`dead_zone` there is measured in; what depends on their number, the rule mean and `dead_quantile`,
they cannot have.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from golden.checkpoint import names
from golden.numerics.neuron import Site
from golden.recipe.adapter import Adapter, unpack_adapter
from golden.recipe.exponents import Exponents, unpack_exponents
from golden.recipe.fold_file import StoredFold, unpack_fold
from golden.recipe.known import FOLDER, known_recipes, recipes_of
from golden.recipe.settings import SiteSettings

__all__ = [
    "ATTENTION_SITES",
    "SITES",
    "Recipe",
    "RecipeError",
    "known_recipes",
    "load_recipe",
    "locate",
    "locate_site",
    "recipes_of",
    "to_toml",
]

ATTENTION_SITES = ("query", "probabilities")
"""Those within attention, which feed no matrix."""
_LAYER_SITES = (*dict.fromkeys(names.MATRICES.values()), *ATTENTION_SITES)
SITES = (*_LAYER_SITES, "head")
"""The places of a model where vectors are encoded."""

_TOO_DEEP = "recipe {} is nested too deeply: a setting is a number or a name"
_KEYS = tuple(field.name for field in fields(SiteSettings))
_OF_MATRICES = ("weights", "weight_bits", "scale_bits")
_WITHOUT = {  # settings that a site does not have
    "query": _OF_MATRICES,
    "probabilities": (*_OF_MATRICES, "kappa", "dead_quantile"),
}

_T = TypeVar("_T")


class RecipeError(ValueError):
    """A recipe cannot be used; the message is one sentence: what, where and what to do."""


@dataclass(frozen=True)
class Recipe:
    """How each site of a model encodes, the bits of its weights, and what is changed first.

    Attributes
    ----------
    name : str
        The name or path it was loaded by.
    default : SiteSettings
        Settings of a site that has none of its own.
    sites : dict
        Settings by site.
    layer_sites : dict
        Settings by (layer, site).
    fold : str, StoredFold or None
        What `golden.model.prepare.fold` takes.
    adapter : Adapter or None
        What is then added to the matrices: the settings are for what `golden.model.prepare`
        returns.
    exponents : Exponents or None
        What its channels are divided by, after both.
    """

    name: str
    default: SiteSettings
    sites: dict[str, SiteSettings]
    layer_sites: dict[tuple[int, str], SiteSettings]
    fold: str | StoredFold | None = None
    adapter: Adapter | None = None
    exponents: Exponents | None = None

    def settings(self, layer: int | None, site: str) -> SiteSettings:
        """Return the settings of a site; the head has no layer."""
        if site not in SITES:
            raise ValueError(f"site must be one of {', '.join(SITES)}, not {site!r}")
        if layer is not None and (layer, site) in self.layer_sites:
            return self.layer_sites[layer, site]
        default = SiteSettings() if site in ATTENTION_SITES else self.default
        return self.sites.get(site, default)

    def site(self, layer: int | None, site: str, channels: int) -> Site:
        """Return how a site of `channels` elements encodes; the head has no layer.

        Raises
        ------
        RecipeError
            Where channels times kappa is more than a divisor can be.
        """
        try:
            return self.settings(layer, site).site(channels)
        except ValueError as error:
            raise RecipeError(f"recipe {self.name} does not fit the site {site}: {error}") from None

    def dead_quantile(self, layer: int | None, site: str) -> float:
        """Return the share of each token's channels that a site silences at run time."""
        return self.settings(layer, site).dead_quantile

    def exponents_of(self, site: str, channels: int) -> Tensor | None:
        """Return the exponents of a site's channels, by its canonical name, int8, or None."""
        return None if self.exponents is None else self.exponents.of(site, channels)

    def weight_bits(self, matrix: str) -> int:
        """Return the bits of a matrix's weights where it is quantized, by its canonical name."""
        return self.settings(*locate(matrix)).weight_bits

    def require_layers(self, layers: int) -> None:
        """Refuse, with a RecipeError, a recipe that names a layer which a model does not have."""
        beyond = [layer for layer, _ in self.layer_sites if layer >= layers]
        if beyond:
            raise RecipeError(
                f"recipe {self.name} names layer {beyond[0]}, but the model's layers are "
                f"0 to {layers - 1}"
            )

    def require_static(self) -> None:
        """Refuse, with a RecipeError, what hardware cannot do: find a dead zone at run time."""
        everywhere = (self.default, *self.sites.values(), *self.layer_sites.values())
        if any(settings.dead_quantile for settings in everywhere):
            raise RecipeError(
                f"recipe {self.name} has a dead_quantile, which only the golden model can follow: "
                "give a dead_zone instead"
            )


def locate(matrix: str) -> tuple[int | None, str]:
    """Return the layer (None for the head) and the site of a matrix, by its canonical name."""
    return locate_site(names.site_of(matrix))


def locate_site(site: str) -> tuple[int | None, str]:
    """Return the layer (None for the head) and the kind of a site, such as `layers.3.qkv`."""
    place, _, kind = site.rpartition(".")
    return (int(place.removeprefix("layers.")) if place else None), kind


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Load a recipe by its name, or from a TOML file.

    Raises
    ------
    RecipeError
        If there is none, or if a key or a value in it is wrong.
    """
    name = str(name_or_path)
    path = FOLDER / f"{name}.toml" if name in known_recipes() else Path(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            f"there is no recipe {name}: name one of {', '.join(known_recipes())}, or a TOML file"
        ) from None
    except OSError as error:
        raise RecipeError(f"recipe {name} cannot be read: {error.strerror}") from None
    except ValueError as error:  # TOML's and UTF-8's
        raise RecipeError(f"recipe {name} is not valid TOML: {error}") from None
    except RecursionError:
        raise RecipeError(_TOO_DEEP.format(name)) from None
    try:
        return _parse(name, table, path.parent)
    except RecursionError:  # a value's own tables, in a sentence about it
        raise RecipeError(_TOO_DEEP.format(name)) from None


def _parse(name: str, table: dict, folder: Path) -> Recipe:
    """Make a recipe of a TOML document: three levels, each inheriting from the one before."""
    site_tables = _tables(name, "[site]", table.pop("site", {}), SITES)
    layer_tables = _tables(name, "[layer]", table.pop("layer", {}))
    fold = _fold(name, table.pop("fold", None), folder)
    adapter = _stored(name, "adapter", table.pop("adapter", None), folder, unpack_adapter)
    exponents = _stored(name, "exponents", table.pop("exponents", None), folder, unpack_exponents)
    default = _settings(name, "", table)
    sites, layer_sites = {}, {}
    for site, own in site_tables.items():
        base = {} if site in ATTENTION_SITES else table
        sites[site] = _settings(name, f"[site.{site}]", _inherit(base, own), site)
    for layer, by_site in layer_tables.items():
        where = f"[layer.{layer}]"
        if not (layer.isascii() and layer.isdecimal()):
            raise RecipeError(f"recipe {name}: {where} must be numbered like [layer.0.down]")
        for site, own in _tables(name, where, by_site, _LAYER_SITES).items():
            base = {} if site in ATTENTION_SITES else table
            merged = _inherit(_inherit(base, site_tables.get(site, {})), own)
            layer_sites[int(layer), site] = _settings(name, f"[layer.{layer}.{site}]", merged, site)
    return Recipe(name, default, sites, layer_sites, fold, adapter, exponents)


def _fold(name: str, fold: object, folder: Path) -> str | StoredFold | None:
    if fold is None:
        return None
    if not isinstance(fold, dict) or len(fold) != 1 or not fold.keys() <= {"text", "file"}:
        raise RecipeError(f"recipe {name}: [fold] must hold a text or a file and nothing else")
    ((kind, value),) = fold.items()
    if not isinstance(value, str) or not value.strip():
        raise RecipeError(f"recipe {name}: [fold] must have a {kind} that is not blank")
    if kind == "text":
        return value
    return _read(name, "fold", folder / value, unpack_fold)


def _stored(
    name: str, what: str, table: object, folder: Path, unpack: Callable[[bytes], _T]
) -> _T | None:
    if table is None:
        return None
    if not isinstance(table, dict) or table.keys() != {"file"}:
        raise RecipeError(f"recipe {name}: [{what}] must hold a file and nothing else")
    if not isinstance(table["file"], str) or not table["file"].strip():
        raise RecipeError(f"recipe {name}: [{what}] must have a file that is not blank")
    return _read(name, what, folder / table["file"], unpack)


def _read(name: str, what: str, path: Path, unpack: Callable[[bytes], _T]) -> _T:
    try:
        return unpack(path.read_bytes())
    except OSError as error:
        raise RecipeError(
            f"recipe {name}: its {what} {path} cannot be read: {error.strerror}"
        ) from None
    except ValueError as error:
        raise RecipeError(f"recipe {name}: its {what} {path} {error}") from None


def _tables(name: str, where: str, value: object, keys: tuple[str, ...] | None = None) -> dict:
    """Check that `value` is a table of tables whose keys are among `keys`."""
    if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
        raise RecipeError(f"recipe {name}: {where} must hold tables of settings only")
    for key in value:
        if keys is not None and key not in keys:
            raise RecipeError(
                f"recipe {name}: a site in {where} must be one of {', '.join(keys)}, not {key!r}"
            )
    return value


def _inherit(base: dict, own: dict) -> dict:
    """Return `own` settings over those of `base` that do not belong to what `own` replaces."""
    dropped = set()
    if "rule" in own and own["rule"] != base.get("rule"):
        dropped |= {"clip", "kappa", "peak", "shifts"}
    if own.keys() & {"dead_zone", "dead_quantile"}:
        dropped |= {"dead_zone", "dead_quantile"}
    return {key: value for key, value in base.items() if key not in dropped} | own


def _settings(name: str, where: str, table: dict, site: str | None = None) -> SiteSettings:
    place = f"recipe {name}{', ' * bool(where)}{where}"
    without = _WITHOUT.get(site or "", ())
    keys = [key for key in _KEYS if key not in without]
    for key in table:
        if key not in keys:
            raise RecipeError(f"{place}: a setting must be one of {', '.join(keys)}, not {key!r}")
    if site == "probabilities" and table.get("rule") == "mean":
        raise RecipeError(f"{place}: rule must be absmax or static, not 'mean'")
    try:
        return SiteSettings(**table)
    except ValueError as error:
        raise RecipeError(f"{place}: {error}") from None


def to_toml(recipe: Recipe, head: Iterable[str] = (), files: Mapping[str, str] = {}) -> str:
    """Return the file of a calibrated recipe; `head` are its comments.

    `files` names what holds its fold, adapter and exponents, where they are in files.
    """
    lines = [f"# {_escaped(line)}".rstrip() for line in head]
    default = recipe.default
    if default.weights != "rows":
        lines += [f'weights = "{default.weights}"', f"scale_bits = {default.scale_bits}"]
    if default.shifts:
        lines += [f"shifts = {default.shifts}"]
    lines += [f"weight_bits = {default.weight_bits}", f"max_count = {default.max_count}"]
    lines += [f'rule = "{default.rule}"']
    for site, settings in recipe.sites.items():
        inherited = SiteSettings() if site in ATTENTION_SITES else default
        lines += ["", f"[site.{site}]"]
        if settings.max_count != inherited.max_count:
            lines += [f"max_count = {settings.max_count}"]
        if settings.shifts != inherited.shifts:
            lines += [f"shifts = {settings.shifts}"]
        if settings.dead_zone or site not in ATTENTION_SITES:
            lines += [f"dead_zone = {settings.dead_zone}"]
    last = None
    for (layer, site), settings in sorted(recipe.layer_sites.items(), key=lambda item: item[0][0]):
        if layer != last:
            lines += ["", f"[layer.{layer}]"]
            last = layer
        lines.append(f"{site}.dead_zone = {settings.dead_zone}")
    if isinstance(recipe.fold, str):
        text = "\n".join(map(_escaped, recipe.fold.split("\n")))
        lines += ["", "[fold]", f'text = """\n{text}"""']
    for kind, name in files.items():
        lines += ["", f"[{kind}]", f'file = "{_escaped(name)}"']
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Return what stands for a text within quotation marks."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", text)
