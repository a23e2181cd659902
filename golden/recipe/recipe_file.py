"""Recipes as files, of those that calibration makes."""

import re
from collections.abc import Iterable, Mapping

from golden.recipe.recipe import Recipe

__all__ = ["to_toml"]


def to_toml(recipe: Recipe, head: Iterable[str] = (), files: Mapping[str, str] = {}) -> str:
    """Return the file of a calibrated recipe; `head` are its comments.

    `files` names what holds its fold and adapter, where they are in files.
    """
    lines = [f"# {_escaped(line)}".rstrip() for line in head]
    default = recipe.default
    lines += [f"weight_bits = {default.weight_bits}", f"max_count = {default.max_count}"]
    lines += [f'rule = "{default.rule}"']
    for site, settings in recipe.sites.items():
        lines += ["", f"[site.{site}]", f"dead_zone = {settings.dead_zone}"]
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
