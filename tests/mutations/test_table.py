"""The table of mutations fits the sources as they are."""

import re
import shutil

import pytest

from tests.mutations.mutation import ROOT
from tests.mutations.table import MUTATIONS


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.file}: {m.name}")
def test_a_mutation_is_a_program_and_has_its_test(mutation, tmp_path):
    copy = tmp_path / mutation.file
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / mutation.file, copy)
    mutation.apply(tmp_path)
    if copy.suffix == ".py":
        compile(copy.read_text(), mutation.file, "exec")
    assert (ROOT / mutation.test.partition("::")[0]).exists()


def test_names_are_unique():
    names = [(mutation.file, mutation.name) for mutation in MUTATIONS]
    assert len(set(names)) == len(names)


def test_a_text_that_is_gone_is_refused(tmp_path):
    mutation = MUTATIONS[0]
    (tmp_path / mutation.file).parent.mkdir(parents=True)
    (tmp_path / mutation.file).write_text("another version\n")
    said = rf"^{re.escape(mutation.file)} must hold .* once, not 0 times$"
    with pytest.raises(ValueError, match=said):
        mutation.apply(tmp_path)
