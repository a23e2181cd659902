"""Which Spikeloom this is, and where its things lie: in a checkout, and installed."""

import subprocess

import pytest

from golden.console import places, version


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Return an empty checkout in place of this one, and forget what this one is."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "9.8.7"\n')
    monkeypatch.setattr(places, "SOURCES", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget():
    version.version.cache_clear()
    version.commit.cache_clear()


def git(directory, *arguments):
    options = ["-c", "user.name=a", "-c", "user.email=b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(directory), *options, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_checkout_tells_its_version_and_commit_and_whether_it_differs(elsewhere):
    assert version.version_line() == "spikeloom 9.8.7 (unknown)"
    git(elsewhere, "init")
    git(elsewhere, "add", ".")
    git(elsewhere, "commit", "-m", "all")
    git(elsewhere, "tag", "-a", "9", "-m", "a tag is no commit")
    forget()
    commit = git(elsewhere, "rev-parse", "--short", "HEAD")
    assert version.about() == {"version": "9.8.7", "commit": commit}
    (elsewhere / "notes.txt").write_text("not tracked\n")
    forget()
    assert version.commit() == commit
    with (elsewhere / "pyproject.toml").open("a") as file:
        file.write("# as it is now\n")
    forget()
    assert version.commit() == f"{commit}+dirty"


def test_an_installed_package_has_the_commit_it_was_built_from(elsewhere, monkeypatch):
    (elsewhere / "pyproject.toml").unlink()
    monkeypatch.setattr(version, "__file__", str(elsewhere / "version.py"))
    assert version.commit() == "unknown"
    (elsewhere / version.RECORD).write_text("1a2b3c4\n")
    forget()
    assert version.commit() == "1a2b3c4"


def test_the_digest_of_sources_sees_code_and_data_but_no_litter(elsewhere):
    package = elsewhere / "part"
    package.mkdir()
    (package / "a.py").write_text("1\n")
    first = version.sources("part")
    (package / "a.pyc").write_text("litter")
    (elsewhere / "other.py").write_text("another package\n")
    assert version.sources("part") == first
    seen = {first}
    for name in ("b.py", "c.toml", "d.json", "e.sv"):
        (package / name).write_text("1\n")
        seen.add(version.sources("part"))
    (package / "a.py").write_text("2\n")
    seen.add(version.sources("part"))
    assert len(seen) == 6


def test_a_checkout_keeps_everything_in_its_build(elsewhere):
    assert places.builds("verilator") == elsewhere / "build" / "verilator"
    assert places.outputs("sim") == elsewhere / "build" / "sim"
    assert places.shared("models") == elsewhere.parent / "shared" / "models"


def test_installed_builds_go_to_the_cache_and_outputs_to_where_one_is(
    elsewhere, monkeypatch, tmp_path_factory
):
    (elsewhere / "pyproject.toml").unlink()
    cache, here = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("here")
    monkeypatch.setenv("SPIKELOOM_CACHE", str(cache))
    monkeypatch.chdir(here)
    assert places.builds("verilator") == cache / "build" / "verilator"
    assert places.shared("models") == cache / "models"
    assert places.outputs("sim") == here / "build" / "sim"
