"""What the system says of files, as sentences."""

import errno
import os

import pytest

from golden.console.errors import sentence_of


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOENT, "name one that is there or can be made"),
        (errno.ENOTDIR, "name a place in a directory, not in a file"),
        (errno.EACCES, "name a place that you may read and write"),
        (errno.EROFS, "name a place that you may read and write"),
        (errno.ENOSPC, "make room, or name another place"),
        (errno.ENAMETOOLONG, "name another place"),
    ],
)
def test_a_sentence_says_what_where_and_what_to_do(number, advice):
    why = os.strerror(number)
    error = OSError(number, why, "there/x")
    assert sentence_of(error) == f"there/x cannot be used ({why}): {advice}"
    assert sentence_of(OSError(number, why)) == f"a file cannot be used ({why}): {advice}"


def test_a_file_that_is_renamed_once_whole_is_known_by_its_place():
    for name in (".model.partial", "rows.7.part"):
        error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), f"there/{name}")
        assert sentence_of(error).startswith("there cannot be used")


def test_an_error_with_its_own_advice_keeps_it():
    error = OSError(errno.ENOSPC, "no room for 9 bytes: make some", "there/x")
    assert sentence_of(error) == "there/x: no room for 9 bytes: make some"
    assert sentence_of(OSError("it cannot be mapped")) == "it cannot be mapped"
