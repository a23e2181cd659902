"""The tutorial does what it says: its commands run, and print what stands there."""

import pytest

from tests.docs import tutorial
from tests.docs.tutorial import Step

_PAGE = "Text.\n```console\n$ python -c 'print(1)'\n1\n$ python -c \\\n    'print(2)'\n…\n```\n"


def test_the_tutorial_prints_what_it_says(stories260k, tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKELOOM_MODELS", str(stories260k.parent))
    steps = tutorial.steps(tutorial.PAGE.read_text())
    assert len(steps) > 5
    for command, expected in steps:
        found = tutorial.difference(expected, tutorial.run(command, tmp_path))
        assert not found, f"{command}\n{found}\npython -m tests.docs writes outputs anew"


def test_commands_and_outputs_are_found():
    one, two = tutorial.steps(_PAGE)
    assert one == Step("python -c 'print(1)'", "1")
    assert two == Step("python -c \\\n    'print(2)'", "…")


def test_a_command_may_have_several_lines(tmp_path):
    (step,) = tutorial.steps("```console\n$ python -c '\nprint(1)\n'\n1\n```\n")
    assert step == Step("python -c '\nprint(1)\n'", "1")
    assert tutorial.run(step.command, tmp_path) == "1\n"


def test_a_command_that_fails_is_told(tmp_path):
    assert tutorial.run("python -c 'print(1)'", tmp_path) == "1\n"
    with pytest.raises(AssertionError, match="no such file"):
        tutorial.run("""python -c 'raise SystemExit("no such file")'""", tmp_path)


@pytest.mark.parametrize(
    ("expected", "got", "found"),
    [
        ("a  b\n", "\na b \n", None),
        ("1.2 s, 14,000 cycles", "3 s, 14,000 cycles", None),
        ("14,000 cycles", "14,001 cycles", "expected '14,000 cycles', got '14,001 cycles'"),
        ("report: build/x", "report: /some/where/build/x", None),
        ("a\n…\nd", "a\nb\nc\nd", None),
        ("…\nd", "a\nc", "expected 'd', got 'the end'"),
        ("a\n…", "a\nb\nc", None),
        ("a", "a\nb", "expected the end, got 'b'"),
        ("a\nb", "a", "expected 'b', got 'the end'"),
    ],
)
def test_outputs_are_compared_but_for_what_machines_differ_in(expected, got, found):
    assert tutorial.difference(expected, got) == found


def test_outputs_are_written_anew_but_for_those_cut_short():
    outputs = {step.command: "new\n" for step in tutorial.steps(_PAGE)}
    assert tutorial.rewritten(_PAGE, outputs) == _PAGE.replace("\n1\n", "\nnew\n")
    assert tutorial.rewritten(_PAGE, {}) == _PAGE
