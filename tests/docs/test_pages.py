"""Pages hold what they promise: links lead somewhere, and what they name is there."""

import pytest

from tests.docs import rooms
from tests.docs.pages import (
    CONSOLE,
    ROOT,
    anchors,
    defines,
    links,
    module_file,
    modules_run,
    named_files,
    named_modules,
    pages,
    prose_lines,
)

_PAGES = [str(path.relative_to(ROOT)) for path in pages()]
# What was true when it was written stays: such pages may name what is no more.
_HISTORY = ("CHANGELOG.md", "docs/adr/")
_LINE = 99


def _current() -> list[str]:
    return [name for name in _PAGES if not name.startswith(_HISTORY)]


def _dead_links(name: str, text: str) -> list[str]:
    dead = []
    for link in links(text):
        target, _, anchor = link.partition("#")
        if target.startswith(("http:", "https:")):
            continue
        path = (ROOT / name).parent / target
        if not path.exists():
            dead.append(link)
        elif anchor and anchor not in anchors(path.read_text() if target else text):
            dead.append(link)
    return dead


def _missing_files(text: str) -> list[str]:
    here = {path.name for top in ROOT.iterdir() if top.is_dir() and not top.name.startswith(".")
            if top.name != "build" for path in top.rglob("*.py")}  # fmt: skip
    return [
        name
        for name in named_files(text)
        if not (ROOT / name).exists() and not ("/" not in name and name in here)
    ]


def _missing_modules(text: str) -> list[str]:
    run = [name for name in modules_run(text) if not module_file(name)]
    return [name for name in named_modules(text) if not defines(name)] + run


def _long_lines(text: str) -> list[int]:
    """Return the numbers of lines that are too long; tables and what commands print may be."""
    text = CONSOLE.sub(lambda block: "\n" * block[0].count("\n"), text)
    long = {number: line for number, line in enumerate(text.splitlines(), 1) if len(line) > _LINE}
    return [number for number, line in long.items() if line[0] + line[-1] != "||"]


@pytest.mark.parametrize("name", _PAGES)
def test_links_lead_somewhere(name):
    assert not _dead_links(name, (ROOT / name).read_text())


@pytest.mark.parametrize("name", _current())
def test_files_that_are_named_are_there(name):
    assert not _missing_files((ROOT / name).read_text())


@pytest.mark.parametrize("name", _current())
def test_modules_that_are_named_are_there(name):
    assert not _missing_modules((ROOT / name).read_text())


@pytest.mark.parametrize("name", [name for name in _PAGES if name != "CHANGELOG.md"])
def test_lines_are_below_100_columns(name):
    assert not _long_lines((ROOT / name).read_text())


def test_every_page_is_on_the_map():
    page = ROOT / "docs" / "index.md"
    linked = {(page.parent / link.partition("#")[0]).resolve() for link in links(page.read_text())}
    expected = {path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "adr"}
    assert not {str(path.relative_to(ROOT)) for path in expected - {page} - linked}


def test_every_decision_is_on_the_map():
    page = ROOT / "docs" / "adr" / "index.md"
    decisions = {path.name for path in page.parent.glob("0*.md")}
    assert decisions == {link for link in links(page.read_text()) if link.startswith("0")}


def test_the_first_screen_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_each_check_sees_what_it_is_for():
    text = "# A page\n[a](nowhere.md) [b](#no-heading) [c](#a-page) `hw/matmul/gone.py` `gone.py`\n"
    text += "`golden.numerics.neuron.fire` `golden.numerics.neuron.gone` `sim.gone`\n"
    text += "```\n[not](a-link.md)\npython -m sim.absent run\n```\n"
    assert _dead_links("README.md", text) == ["nowhere.md", "#no-heading"]
    assert _missing_files(text) == ["hw/matmul/gone.py", "gone.py"]
    assert _missing_modules(text) == ["golden.numerics.neuron.gone", "sim.gone", "sim.absent"]
    assert _long_lines("|" * 100 + "\n" + "x" * 99 + "\n|" + "x" * 99) == [3]
    assert [number for number, _ in prose_lines(text)] == [1, 2, 3]


def test_every_room_is_on_the_page():
    text = rooms.PAGE.read_text()
    assert text == rooms.with_rooms(text), "run python -m tests.docs"
    assert "`hw/contract/` | The contract" in text
    with pytest.raises(
        ValueError, match=r"^layout\.md has no rooms of compiler, golden, sim, spikeloom$"
    ):
        rooms.with_rooms("<!-- rooms of hw: generated -->\n<!-- end of rooms -->")
