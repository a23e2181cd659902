"""Tables: figures to the right and whole, within the terminal whatever its width."""

import pytest

from golden.console.tables import print_lines, print_table

HEADINGS = ("design", "weight bytes", "cycles, at least", "share")
ROWS = [("spike array", 1234567, 89, "12.5%"), ("dense", 0, None, "100.0%")]


def shown(capsys, monkeypatch, columns, **more):
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table(HEADINGS, ROWS, **more)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [line.rstrip() for line in lines]
    return lines


def test_figures_have_separators_and_stand_to_the_right(capsys, monkeypatch):
    title, heading, rule, first, second = shown(capsys, monkeypatch, 80, title="Costs")
    assert title == "Costs"
    assert heading.split("  ")[0] == "design" and "cycles, at least" in heading
    assert set(rule) == {"─"}
    assert first.split() == ["spike", "array", "1,234,567", "89", "12.5%"]
    assert second.split() == ["dense", "0", "–", "100.0%"]
    assert len(first) == len(second) == len(heading)


@pytest.mark.parametrize("columns", [24, 30, 36, 44, 60, 80])
def test_what_is_too_wide_goes_on_below(capsys, monkeypatch, columns):
    lines = shown(capsys, monkeypatch, columns)
    assert max(map(len, lines)) <= columns
    words = " ".join(lines).split()
    for cell in ("1,234,567", "89", "12.5%", "0", "–", "100.0%", "weight", "least", "share"):
        assert words.count(cell) == 1
    parts = words.count("design")
    assert parts == words.count("dense") == 1 + lines.count("")
    assert (parts > 1) == (columns < 44)


def test_a_table_without_rows(capsys):
    print_table(HEADINGS, [], title="Nothing of")
    assert capsys.readouterr().out == "Nothing of\n"


def test_lines_go_on_below_between_words(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    print_lines("x" * 50, "[red]y", "one two-three four-five six", "  a   b", indent=3)
    out = f"{'x' * 50}\n[red]y\none two-three\n   four-five six\n  a   b\n"
    assert capsys.readouterr().out == out
