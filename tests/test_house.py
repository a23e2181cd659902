"""The house itself: pins in one place, lint and types clean, files that hold on any machine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (
    *(".ci", ".github", "bench", "compiler", "docs", "examples", "golden", "hw", "sim"),
    *("spikeloom", "tests", "tools"),
)
TEXT_SUFFIXES = {
    *("", ".cff", ".cpp", ".h", ".ipynb", ".md", ".py", ".sv", ".svg", ".toml", ".v", ".vlt"),
    *(".yaml", ".yml"),
}
SOURCE_SUFFIXES = {".py", ".h", ".cpp", ".sv"}
MOST_LINES = 400


def project_texts() -> dict[str, str]:
    """Return the text files of the project, by their path relative to its root."""
    paths = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    for folder in FOLDERS:
        paths += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    texts = (path for path in paths if path.suffix in TEXT_SUFFIXES)
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(texts)}


def requirement_lines() -> list[str]:
    """Return the lines of pyproject.toml that name a package to install."""
    text = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(r"^(?:dependencies|dev) = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return "".join(lists).splitlines()


def run(*command: str) -> str:
    """Return what a tool of the environment prints; fail the test where its status is not 0."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_requirements_are_pinned_and_justified():
    lines = requirement_lines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    count = len(project["dependencies"]) + len(project["optional-dependencies"]["dev"])
    assert len(lines) == count > 0
    assert not [line for line in lines if not re.fullmatch(r' +"[\w-]+==[\w.]+", +# \S.*', line)]


def test_versions_are_pinned_in_one_place():
    names = [re.match(r' +"([\w-]+)', line)[1] for line in requirement_lines()]
    pin = re.compile(rf"\b({'|'.join(names)})\s*==\s*\d")
    found = {path for path, text in project_texts().items() if pin.search(text)}
    assert found == {"pyproject.toml"}


def test_no_file_names_a_place_on_a_machine():
    place = re.compile(r"(?<![\w.~])/(home|root|work|Users|tmp)/\w")
    found = {path: place.search(text) for path, text in project_texts().items()}
    assert not {path: match[0] for path, match in found.items() if match}


def long_files(texts: dict[str, str]) -> dict[str, int]:
    """Return the lines of the sources that are too long to be read in one go."""
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    return {
        path: count
        for path, count in lines.items()
        if Path(path).suffix in SOURCE_SUFFIXES and count > MOST_LINES
    }


def test_no_source_is_too_long():
    assert not long_files(project_texts())


def test_a_source_that_is_too_long_is_found():
    text = "x = 1\n" * MOST_LINES
    assert long_files({"a.py": text, "b.sv": text + "y", "c.md": text + text}) == {"b.sv": 401}


def test_makefile_targets_are_explained():
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()
    explained = re.findall(r"^([a-z-]+):.*?## \S", text, re.MULTILINE)
    assert sorted(phony) == sorted(explained)


def test_ruff_finds_nothing():
    run("ruff", "check", ".")


def test_pyright_finds_nothing():
    assert re.search(r"^0 errors", run("pyright"), re.MULTILINE)


def test_ci_runs_what_a_contributor_runs():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text().endswith("\nmake test\n")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert commands == ["bash .ci/run"]


def test_the_citation_has_what_its_format_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["authors"] == [{"name": "Spikeloom contributors"}]
    assert {"message", "title"} < citation.keys()
