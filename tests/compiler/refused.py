"""What is said of a compiled directory that is not read."""

import pytest

from compiler.artifact.program import load


def refusal(directory, params=None) -> str:
    """Return why a compiled directory is refused."""
    with pytest.raises(ValueError) as error:
        load(directory, params)
    return str(error.value)
