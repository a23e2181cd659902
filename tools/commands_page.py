"""Writes docs/commands.md, all commands and their options, from the parsers themselves.

`make docs` runs it: ``python -m tools.commands_page``.
"""

import argparse
import importlib
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["PACKAGES", "commands_of", "page", "parser_of"]

PACKAGES = {
    "hw": "hw.__main__",
    "golden": "golden.commands.grammar",
    "compiler": "compiler.commands.grammar",
    "sim": "sim.commands.grammar",
    "spikeloom.board": "spikeloom.board.commands.grammar",
    "bench": "bench.grammar",
}
"""Each package that has commands, and the module that makes its parser."""

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"

_HEAD = """\
# Commands

All commands and their options, written from the parsers by `make docs`. They share one grammar:
an option means the same wherever it stands; MODEL may come first or as `--model`. Results go to
stdout, as wide as the terminal at most, or 80 columns in a pipe; no word and no file's name is
cut, and `--json` is for programs. Where stderr is no terminal a line tells every ten seconds how
far the work is (other seconds, or none for 0, by the variable `SPIKELOOM_PROGRESS` of the
environment). `--version` shows version and commit, `--help` what stands here.

Exit status: 0 where all is well, 1 where results differ from what they must be, 2 after one
sentence on stderr where a request cannot be met, 130 after an interrupt.
"""


def parser_of(package: str) -> argparse.ArgumentParser:
    """Return a package's parser."""
    return importlib.import_module(PACKAGES[package]).parser()


def commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Return a parser's commands by name; of one that has none, itself, called by nothing."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {"": parser}


def page() -> str:
    """Return the whole page."""
    lines = [_HEAD]
    for package in PACKAGES:
        parser = parser_of(package)
        for name, command in commands_of(parser).items():
            title = f"python -m {package} {name}".rstrip()
            lines += [f"## {title}", "", *_described(command.description or ""), ""]
            lines += _options(command)
    return "\n".join(lines).rstrip() + "\n"


def _described(text: str) -> list[str]:
    """Return a description's lines; those that are indented are kept as they are."""
    first, _, rest = text.partition("\n  ")
    if rest:
        return [first, "", "```", *f"  {rest}".splitlines(), "```"]
    return textwrap.wrap(text.replace("<", "\\<"), 98, break_on_hyphens=False)


def _options(command: argparse.ArgumentParser) -> Iterator[str]:
    for group in command._action_groups:
        actions = [
            action
            for action in group._group_actions
            if not {"--help", "--version"} & {*action.option_strings}
            and not isinstance(action, argparse._SubParsersAction)
        ]
        if not actions:
            continue
        yield f"{(group.title or 'arguments').capitalize()}:"
        yield ""
        for action in actions:
            yield from textwrap.wrap(
                f"- {_spelt(action)}: {_help(command, action)}",
                98,
                subsequent_indent="  ",
                break_on_hyphens=False,
                break_long_words=False,
            )
        yield ""


def _spelt(action: argparse.Action) -> str:
    """Return how an option is written, with its value."""
    value = "" if action.nargs == 0 else f" {action.metavar or '|'.join(action.choices or ())}"
    if not action.option_strings:
        return f"`{value.strip()}`"
    return ", ".join(f"`{name}{value}`" for name in action.option_strings)


def _help(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    form = command.formatter_class(prog="")
    return form._expand_help(action) + (", must be given" if action.required else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
