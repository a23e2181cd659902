"""The commands of all packages: one grammar, help at once and within 80 columns, one page."""

import argparse
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.commands.grammar import parser as compiler_parser
from golden.commands.grammar import parser as golden_parser
from golden.console.parser import Parser
from tools import commands_page
from tools.commands_page import PACKAGES, commands_of, parser_of
from tools.make_sim import VARIABLES, arguments

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("torch", "numba", "numpy", "matplotlib", "transformers", "pydantic", "cocotb", "dask")
# Asks for the help of each command in turn; prints what it was, and what libraries it took.
HELP = """
import contextlib, importlib, io, json, sys

main = importlib.import_module(sys.argv[1] + ".__main__").main
shown = {}
for command in json.loads(sys.argv[2]):
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        main([*filter(None, [command]), "--help"])
    shown[command] = text.getvalue()
print(json.dumps([shown, [name for name in sys.argv[3:] if name in sys.modules]]))
"""
ALL = [
    (package, name, command)
    for package in PACKAGES
    for name, command in commands_of(parser_of(package)).items()
]


def options_of(command: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {name: action for action in command._actions for name in action.option_strings}


def help_of(package: str, names: list[str]) -> tuple[dict[str, str], list[str]]:
    command = [sys.executable, "-c", HELP, package, json.dumps(names), *LIBRARIES]
    environment = {"PATH": "", "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", PACKAGES)
def test_help_needs_no_library_and_80_columns(package):
    names = ["", *filter(None, commands_of(parser_of(package)))]
    shown, libraries = help_of(package, names)
    assert libraries == []
    assert [*shown] == names
    for text in shown.values():
        assert text.startswith(f"usage: python -m {package}")
        assert not [line for line in text.splitlines() if len(line) > 80]


def test_an_option_means_the_same_everywhere():
    """Its value and how many: `--tokens` counts and `--text` names a file wherever it is."""
    meanings: dict[str, dict[tuple, list[str]]] = {}
    for package, name, command in ALL:
        for action in command._actions:
            value = (action.metavar or tuple(action.choices or ()), action.nargs)
            for option in [*filter(lambda name: name[:2] == "--", action.option_strings)][:1]:
                meanings.setdefault(option, {}).setdefault(value, []).append(f"{package} {name}")
    assert len(meanings) > 40
    several = {option: of for option, of in meanings.items() if len(of) > 1}
    # of a recipe or a profile, one file; of everything else that is written, a directory
    assert {value for value, _ in several.pop("--output")} == {"DIR", "FILE"}
    # of a build, how much there is; of a run, which kind
    assert len(several.pop("--memory")) == 2
    assert not several


@pytest.mark.parametrize(("package", "name", "command"), ALL)
def test_every_option_is_explained(package, name, command):
    for action in command._actions:
        assert action.help, action
        if action.nargs != 0 and not action.choices:
            assert action.metavar == action.metavar.upper()
    assert command.description and command.description.rstrip()[-1] in ".)"


TAKES_MODEL = [
    ("golden", ("perplexity", "--text", "t")),
    ("golden", ("calibrate", "--text", "t", "-o", "o")),
    ("golden", ("profile", "--text", "t", "-o", "o")),
    ("golden", ("generate", "--prompt", "p")),
    ("golden", ("fetch",)),
    ("compiler", ("build",)),
    ("compiler", ("energy",)),
    ("compiler", ("boards",)),
    ("sim", ("run", "--layer", "mlp0")),
    ("sim", ("generate",)),
    ("sim", ("sweep", "--latency", "9")),
]


@pytest.mark.parametrize(("package", "call"), TAKES_MODEL)
def test_a_model_comes_first_or_as_an_option(package, call, capsys):
    name, *more = call
    more += ["--grid", "lanes=8"] * (name == "sweep")
    parser = parser_of(package)
    first = parser.parse_args([name, "m", *more])
    assert first.model == "m"
    assert vars(parser.parse_args([name, "--model", "m", *more])) == vars(first)
    with pytest.raises(SystemExit) as end:
        parser.parse_args([name, "m", *more, "--model", "n"])
    assert end.value.code == 2
    said = (
        f"python -m {package} {name}: MODEL is given twice, m and n: leave one out (see --help)\n"
    )
    assert capsys.readouterr() == ("", said)


def test_two_devices_are_compared_with_and_without_a_model():
    parse = parser_of("sim").parse_args
    for given in (["m", "rtl", "cycle"], ["--model", "m", "rtl", "cycle"]):
        options = parse(["diverge", *given])
        assert (options.model, options.a, options.b) == ("m", "rtl", "cycle")
    options = parse(["diverge", "rtl", "cycle"])
    assert (options.model, options.a, options.b) == (None, "rtl", "cycle")


def test_names_of_one_option_are_no_two_that_an_abbreviation_may_mean(capsys):
    options = parser_of("sim").parse_args(["run", "--lay", "k0"])
    assert options.layer == "k0"
    with pytest.raises(SystemExit):
        parser_of("sim").parse_args(["run", "--s", "1"])
    assert "ambiguous option: --s could match --seed, --stalls" in capsys.readouterr().err
    assert "--layer, --layers LAYER,...\n" in commands_of(parser_of("sim"))["run"].format_help()


def test_a_model_behind_the_devices_is_told(capsys):
    assert importlib.import_module("sim.__main__").main(["diverge", "a", "b", "stories260k"]) == 2
    said = "stories260k is a model: MODEL comes first, then the two devices (see --help)"
    assert capsys.readouterr().err == f"python -m sim diverge: {said}\n"


def test_a_model_that_must_be_given(capsys):
    with pytest.raises(SystemExit):
        golden_parser().parse_args(["fetch"])
    said = "python -m golden fetch: MODEL must be given, first or as --model (see --help)\n"
    assert capsys.readouterr().err == said
    assert compiler_parser().parse_args(["boards"]).model == "smollm2-135m"


@pytest.mark.parametrize(
    ("package", "name"),
    [(package, "") for package in PACKAGES] + [(package, name) for package, name, _ in ALL if name],
)
def test_version(package, name, capsys):
    main = importlib.import_module(f"{package}.__main__").main
    with pytest.raises(SystemExit) as end:
        main([*filter(None, [name]), "--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("spikeloom 0.")


@pytest.mark.parametrize("package", PACKAGES)
def test_each_command_has_what_runs_it(package):
    parser = parser_of(package)
    if isinstance(parser, Parser):
        for command in commands_of(parser).values():
            handler = importlib.import_module(command.get_default("handler"))
            assert callable(handler.run)


def test_help_says_what_the_modules_have():
    """Where help may not import what it is about."""
    from compiler.models.request import WEIGHTS
    from compiler.passes.lower import ALL_LAYERS, LAYER_KINDS
    from golden.measure.perplexity import ARITHMETICS, DOCUMENT_END
    from golden.measure.profiling import KEPT_TOKENS

    golden, build = commands_of(golden_parser()), commands_of(compiler_parser())["build"]
    perplexity, profile = golden["perplexity"], golden["profile"]
    assert DOCUMENT_END in (perplexity.description or "")
    assert options_of(perplexity)["--arithmetic"].choices == ARITHMETICS
    assert profile.get_default("keep") == KEPT_TOKENS
    assert build.get_default("layers") == ALL_LAYERS
    layers = options_of(build)["--layers"].help or ""
    assert all(f"{kind}N" in layers for kind in LAYER_KINDS)
    assert (options_of(build)["--weights"].help or "").startswith(", ".join(WEIGHTS))


def test_the_page_is_what_the_parsers_say():
    assert commands_page.PAGE.read_text() == commands_page.page(), "make docs writes it anew"


def test_make_sim_passes_its_variables_on():
    call = {"LAYER": "mlp0", "MODEL": "m", "PROMPT": '-- "it\'s" $5', "SEED": "3", "WAVES": "1"}
    options = parser_of("sim").parse_args(arguments(call | {"CODING": "", "PATH": "/bin"}))
    found = (options.layer, options.model, options.prompt, options.seed, options.waves)
    assert found == ("mlp0", "m", call["PROMPT"], 3, True)
    assert options.coding is None
    assert arguments({"WAVES": "0"}) == ["run"]
    known = options_of(commands_of(parser_of("sim"))["run"])
    assert all(f"--{name.lower()}" in known for name in VARIABLES)
    assert set(VARIABLES) | {"WAVES"} == set(exported())


def exported() -> list[str]:
    """Return the variables that make hands to its commands."""
    (line,) = re.findall(r"^export (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return line.split()
