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
