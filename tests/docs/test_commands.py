"""Commands that pages show are commands: their parsers take them, option by option."""

import importlib
import re
import shlex

import pytest

from tests.docs.pages import ROOT, pages

_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(python -m [^`]+)`")
_OURS = re.compile(r"python -m (?:golden|compiler|sim) [a-z]+\b.*")
_HISTORY = ("CHANGELOG.md", "docs/adr/")


def _whole(text: str) -> list[str]:
    """Return the commands of a page's blocks, but for those with an ellipsis."""
    lines = [x for block in _BLOCK.findall(text) for x in block.replace("\\\n", " ").splitlines()]
    commands = [line.strip().removeprefix("$ ") for line in lines]
    return [line for line in commands if _OURS.fullmatch(line) and "…" not in line]


def _mentioned(text: str) -> list[str]:
    """Return the commands of a page's inline code, which may leave out what they need."""
    found = _INLINE.findall(_BLOCK.sub("", text).replace("\n", " "))
    return [command for command in found if _OURS.fullmatch(command)]


def _parser(command: str):
    package = command.split()[2]
    return importlib.import_module(f"{package}.commands.grammar").parser()


def _refused(command: str, capsys) -> str | None:
    """Return what a command's parser says against it; None where it takes it."""
    try:
        _parser(command).parse_args(shlex.split(command, comments=True)[3:])
    except SystemExit:
        return capsys.readouterr().err
    return None


def _unknown(command: str) -> list[str]:
    """Return what a command's parser does not know: the command, or its options."""
    name, *words = command.replace("[", " ").replace("]", " ").split()[3:]
    found = _parser(command).commands().get(name)
    if found is None:
        return [name]
    known = {option for action in found._actions for option in action.option_strings}
    return [word for word in words if word.startswith("-") and word not in known]


def _of_pages(find) -> list[str]:
    names = {path: str(path.relative_to(ROOT)) for path in pages()}
    texts = [path.read_text() for path, name in names.items() if not name.startswith(_HISTORY)]
    return sorted({command for text in texts for command in find(text)})


@pytest.mark.parametrize("command", _of_pages(_whole))
def test_what_is_shown_is_taken(command, capsys):
    assert not _refused(command, capsys)


@pytest.mark.parametrize("command", _of_pages(_mentioned))
def test_what_is_mentioned_is_known(command):
    assert not _unknown(command)


def test_what_is_wrong_is_seen(capsys):
    assert len(_of_pages(_whole)) > 30 and len(_of_pages(_mentioned)) > 20
    text = "```\npython -m sim run \\\n  --layer mlp0  # one\npython -m sim run …\n```\n"
    text += "```\npython -m sim run --leyer mlp0\n```\n"
    text += "`python -m sim\nrun --leyer L [--seed N]` `python -m sim walk` `python -m bench all`\n"
    good, bad = _whole(text)
    assert _refused(good, capsys) is None
    assert "--leyer" in str(_refused(bad, capsys))
    assert [_unknown(command) for command in _mentioned(text)] == [["--leyer"], ["walk"]]
