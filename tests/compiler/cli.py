"""Runs `python -m compiler` in a test's own process."""

from compiler.__main__ import main


def run(capsys, *arguments):
    """Return exit status, stdout and stderr."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err
