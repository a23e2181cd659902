"""What the compiler's tests begin with."""

import pytest

from hw.contract.presets import preset
from tests.compiler.models import compiled, one_matrix


@pytest.fixture
def built(tmp_path, rng):
    """Return a compiled matrix of two tiles and a ragged one, and two rounds of tokens."""
    stages = one_matrix(70, 33, 4, has_bias=True)
    return compiled(tmp_path / "model", stages, preset("test"), rng, tokens=3)
