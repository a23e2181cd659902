"""What a command tells of its work: nothing at first, then a line every so often."""

import io
import sys
import time

import pytest

from golden.console.progress import Work


def lines_of(capsys, work, most=5.0):
    """Return the lines on stderr, once there are two."""
    told, end = "", time.monotonic() + most
    while told.count("\n") < 2 and time.monotonic() < end:
        time.sleep(0.01)
        printed = capsys.readouterr()
        assert printed.out == ""
        told += printed.err
    return told.splitlines()


def test_a_short_work_says_nothing(capsys):
    with Work("reading", 3) as work:
        work.advance()
        work.reach(3)
    assert capsys.readouterr() == ("", "")


def test_a_long_work_tells_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setenv("SPIKELOOM_PROGRESS", "0.02")
    with Work("building") as work:
        assert lines_of(capsys, work)[-1] == "0 s: building"
        work.begin("tokens", 4000)
        work.reach(1000)
        work.say("layer 3")
        capsys.readouterr()
        line = lines_of(capsys, work)[-1]
        assert line.startswith("0 s: layer 3, 1,000 of 4,000, ") and line.endswith(" s left")
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr() == ("", "")


def test_an_error_ends_it(capsys, monkeypatch):
    monkeypatch.setenv("SPIKELOOM_PROGRESS", "0.02")
    with pytest.raises(ValueError), Work("reading"):
        raise ValueError
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("passed", "done", "total", "unit", "said"),
    [
        (2.0, 1, 3, "", "work, 1 of 3, 4 s left"),
        (120.0, 2, 5, "", "work, 2 of 5, 3 min 00 s left"),
        (3600.0, 1_500_000, 4_500_000, "bytes", "work, 1.5 of 4.5 MB, 2 h 00 min left"),
        (5.0, 0, 9, "", "work, 0 of 9"),
        (5.0, 7, None, "", "work"),
    ],
)
def test_a_line(monkeypatch, passed, done, total, unit, said):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    work = Work("work", total, unit=unit)
    now += passed
    work.reach(done)
    assert work.line() == said


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_text_goes_to_stdout_at_once_in_a_pipe(capsys):
    with Work("tokens") as work:
        work.write("Once ")
        assert capsys.readouterr().out == "Once "
        work.write("upon")
    assert capsys.readouterr().out == "upon"


@pytest.mark.parametrize("text, out", [("Once", "Once\n"), ("Once\n", "Once\n"), ("", "")])
def test_an_error_comes_on_a_line_of_its_own(capsys, text, out):
    with pytest.raises(ValueError, match="no board"), Work("tokens") as work:
        work.write(text)
        work.write("")
        raise ValueError("no board")
    assert capsys.readouterr().out == out


def test_on_a_terminal_a_text_grows_above_the_bar_and_stays(monkeypatch):
    out, err = Terminal(), Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with Work("tokens", 2) as work:
        work.write("Once ")
        work.write("upon")
        assert out.getvalue() == ""
    assert out.getvalue() == "Once upon"
    assert "Once upon" in err.getvalue() and "tokens" in err.getvalue()


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_what_is_no_time_is_told(monkeypatch, text):
    monkeypatch.setenv("SPIKELOOM_PROGRESS", text)
    sentence = f"^SPIKELOOM_PROGRESS must be seconds, 0 for no line of progress, not '{text}'$"
    with pytest.raises(ValueError, match=sentence):
        Work()
