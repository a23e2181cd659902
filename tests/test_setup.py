"""What `make` sets up by: it tells of itself where nobody watches a terminal."""

import sys
import time

import pytest

from tools import setup


def test_a_pipe_is_told_what_is_done_and_the_log_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(setup, "LOG", tmp_path / "setup.log")
    monkeypatch.setattr(setup, "PROGRESS_SECONDS", 0.1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    log = "import time; print('Collecting x', flush=True); time.sleep(1)"
    log += f"; print(open({str(tmp_path / 'setup.log')!r}).read() == 'Collecting x\\n')"
    setup.run_logged([sys.executable, "-c", log])
    assert "s, Collecting x\n" in capsys.readouterr().err
    assert (tmp_path / "setup.log").read_text() == "Collecting x\nTrue\n"  # written as it came
    time.sleep(0.3)
    assert capsys.readouterr().err == ""  # no more once it is over


def test_what_fails_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "LOG", tmp_path / "setup.log")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    with pytest.raises(setup.SetupError, match=r"^import sys.* failed \(no index\): check"):
        setup.run_logged([sys.executable, "-c", "import sys; sys.exit('ERROR: no index')"])


def test_tools_of_single_tests_are_no_condition(monkeypatch, capsys):
    asked = []

    def refuse(packages):
        asked.append(packages)
        raise setup.SetupError("no index: install it by hand first")

    monkeypatch.setattr(setup, "install_packages", refuse)
    monkeypatch.setattr(setup.os, "geteuid", lambda: 0)
    for there in (("apt-get",), ("apt-get", *setup.TEST_PACKAGES), ()):
        found = {name: f"/bin/{name}" for name in there}
        monkeypatch.setattr(setup.shutil, "which", found.get)
        setup.install_test_tools()
    assert asked == [[*setup.TEST_PACKAGES.values()]]  # neither where it is, nor where it cannot be
    said = "setup: tests that need it are skipped: no index: install it by hand first\n"
    assert capsys.readouterr().err == said
