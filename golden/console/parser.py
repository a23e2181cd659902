"""The grammar that all commands share: one parser, whose errors are one sentence each.

A command's handler is named, not imported, so that `--help` needs none of the libraries of seconds.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Command", "Parser", "called"]


def called(package: str) -> str:
    """Return by what the user calls a package: `spikeloom golden`, or `python -m golden`."""
    program = Path(sys.argv[0])
    front = program.stem == "spikeloom" or program.parts[-2:] == ("spikeloom", "__main__.py")
    return f"spikeloom {package.split('.')[-1]}" if front else f"python -m {package}"


class _Help(argparse.HelpFormatter):
    """Help that ends with an option's default, where it has one and does not say it itself."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        switch = action.nargs == 0 or action.default in (None, argparse.SUPPRESS, [])
        if switch or "default" in text:
            return text
        return f"{text} (default: %(default)s)".lstrip()

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


class _Table(_Help, argparse.RawDescriptionHelpFormatter):
    """The same under a description whose lines are kept."""


class _Version(argparse.Action):
    """Prints which Spikeloom this is, and ends."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> NoReturn:
        """Print version and commit."""
        from golden.console.version import version_line  # asks Git, which takes its time

        print(version_line())
        parser.exit()


class Command(argparse.ArgumentParser):
    """One command: its options in groups, `--version`, and errors that are one sentence each.

    Parameters
    ----------
    lines : bool
        Whether the description is lines to keep, rather than a text to fill.
    """

    def __init__(self, *, lines: bool = False, **about: Any) -> None:
        form = _Table if lines else _Help
        super().__init__(**about, formatter_class=form, allow_abbrev=True)
        self.add_argument(
            "--version", action=_Version, nargs=0, help="show version and commit, and end"
        )
        self._titled: dict[str, argparse._ArgumentGroup] = {}
        self._model: tuple[str | None, bool] | None = None  # default, and whether it is needed

    def group(self, title: str) -> argparse._ArgumentGroup:
        """Return the group of options of that title, a new one where it is not there yet."""
        if title not in self._titled:
            self._titled[title] = self.add_argument_group(title)
        return self._titled[title]

    def add_model(self, help: str, *, default: str | None = None, required: bool = True) -> None:
        """Add MODEL, which may come first or as `--model`."""
        group = self.group("model")
        if default is not None:
            help = f"{help} (default: {default})"
        group.add_argument("first_model", metavar="MODEL", nargs="?", help=help)
        group.add_argument("--model", metavar="MODEL", help="the same, as an option")
        self._model = default, required and default is None

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - one of its forms
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, and make `options.model` of the two ways to say it."""
        options, rest = super().parse_known_args(args, namespace or argparse.Namespace())
        if self._model is not None:
            default, needed = self._model
            first = vars(options).pop("first_model")
            if first is not None and options.model is not None:
                self.error(f"MODEL is given twice, {first} and {options.model}: leave one out")
            options.model = first or options.model or default
            if needed and options.model is None:
                self.error("MODEL must be given, first or as --model")
        return options, rest

    def _get_option_tuples(self, option_string: str) -> list:
        """Return what an abbreviation may stand for; the names of one option are one."""
        found = super()._get_option_tuples(option_string)
        return found[:1] if len({id(action) for action, *_ in found}) == 1 else found

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


class Parser(Command):
    """The parser of a package: its commands.

    Parameters
    ----------
    package : str
        As in ``python -m golden``; the handler of a command `x` is `run` in `golden.commands.x`.
    """

    def __init__(self, package: str, description: str, **about: Any) -> None:
        super().__init__(prog=called(package), description=description, **about)
        self.package = package
        self._commands: argparse._SubParsersAction | None = None

    def add_command(
        self, name: str, help: str, description: str | None = None, *, handler: str | None = None
    ) -> Command:
        """Return a new command, which the module `handler` of the package's commands runs."""
        if self._commands is None:
            self._commands = self.add_subparsers(
                title="commands", required=True, metavar="COMMAND", parser_class=Command
            )
        about = description or f"{help[0].upper()}{help[1:]}."
        command = self._commands.add_parser(name, help=help, description=about)
        command.set_defaults(handler=f"{self.package}.commands.{handler or name}", command=name)
        return command

    def commands(self) -> dict[str, Command]:
        """Return the commands by their names."""
        return dict(self._commands.choices) if self._commands else {}
