"""The project's pages as text: lines, links, headings, and what of the project they name."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = [
    "CONSOLE",
    "PACKAGES",
    "ROOT",
    "anchors",
    "defines",
    "links",
    "module_file",
    "modules_run",
    "named_files",
    "named_modules",
    "pages",
    "prose_lines",
]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hw", "golden", "compiler", "sim", "spikeloom", "bench", "tests", "tools")
"""Top-level folders whose modules pages may name."""

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
"""A block of commands and what they print; group 1 is its lines."""

_FENCE = re.compile(r"^ *```")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|h|cpp|sv|v|toml|md|yml|ipynb|svg)|(?:[\w.-]+/)+")
_MODULE = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
_RUN = re.compile(rf"python -m ((?:{'|'.join(PACKAGES)})(?:\.\w+)*)")


def pages() -> list[Path]:
    """Return every page: those of docs/, README, CONTRIBUTING and CHANGELOG."""
    roots = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")]
    return [*roots, *sorted((ROOT / "docs").rglob("*.md"))]


def prose_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line outside code blocks, from 1."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            yield number, line


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures."""
    prose = "\n".join(line for _, line in prose_lines(text))
    return [link or picture for link, picture in _LINK.findall(_CODE.sub("", prose))]


def anchors(text: str) -> set[str]:
    """Return what links may point at within a page, made of its headings as GitHub does."""
    headings = (line for _, line in prose_lines(text) if line.startswith("#"))
    plain = (re.sub(r"[^\w\s-]", "", heading.lstrip("#").strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def _codes(text: str) -> list[str]:
    return [code for _, line in prose_lines(text) for code in _CODE.findall(line)]


def named_files(text: str) -> list[str]:
    """Return files and folders of the project that a page's inline code names."""
    tops = {path.name for path in ROOT.iterdir()} - {"build"}
    found = [code for code in _codes(text) if _FILE.fullmatch(code)]
    return [name for name in found if name.split("/")[0] in tops or name.endswith(".py")]


def named_modules(text: str) -> list[str]:
    """Return the dotted names of the project's own that a page's inline code names."""
    found = [code.removesuffix("()") for code in _codes(text)]
    return [name for name in found if _MODULE.fullmatch(name) and not _FILE.fullmatch(name)]


def modules_run(text: str) -> set[str]:
    """Return what a page runs by ``python -m``, in prose and in code blocks."""
    return set(_RUN.findall(text))


def module_file(name: str) -> Path | None:
    """Return the file of a module or package, or None where there is none."""
    path = ROOT.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return path if path.is_dir() else None


def defines(name: str) -> bool:
    """Return whether a dotted name is a module, or something that a module's text defines."""
    if module_file(name):
        return True
    module, _, attribute = name.rpartition(".")
    while module:
        file = module_file(module)
        if file and file.is_file():
            return attribute in _names(file)
        module, _, owner = module.rpartition(".")
        attribute = f"{owner}.{attribute}"
    return False


@cache
def _names(file: Path) -> frozenset[str]:
    """Return what a module defines or imports, and ``Class.member`` of its classes."""
    return frozenset(_members(ast.parse(file.read_text()), ""))


def _members(node: ast.Module | ast.ClassDef | ast.If, owner: str) -> Iterator[str]:
    for child in node.body:
        if isinstance(child, ast.If):
            yield from _members(child, owner)
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield owner + child.name
        if isinstance(child, ast.ClassDef):
            yield from _members(child, f"{child.name}.")
        if isinstance(child, ast.ImportFrom | ast.Import):
            yield from (alias.asname or alias.name for alias in child.names)
        targets = child.targets if isinstance(child, ast.Assign) else []
        if isinstance(child, ast.AnnAssign):
            targets = [child.target]
        yield from (owner + target.id for target in targets if isinstance(target, ast.Name))
