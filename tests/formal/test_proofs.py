"""Every proof holds and speaks of something that happens; every fault is seen."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.formal.faults import FAULTS, Fault
from tests.formal.page import PAGE, page, times
from tests.formal.proof import Proof
from tests.formal.table import PROOFS

ROOT = Path(__file__).resolve().parent.parent.parent
_REFUTE = """
import sys
from pathlib import Path
from tests.formal.table import PROOFS

proof = next(proof for proof in PROOFS if proof.name == sys.argv[1])
outcome = proof.refute(Path("build"))
print(outcome.status, outcome.log)
"""


def _cases(covers: bool = False) -> list:
    """Return the proofs, the long ones marked as such."""
    return [
        pytest.param(
            proof,
            id=proof.label,
            marks=[pytest.mark.full] if proof.full or (covers and proof.covers_full) else [],
        )
        for proof in PROOFS
    ]


@pytest.mark.parametrize("proof", _cases())
def test_holds(proof: Proof, tmp_path):
    outcome = proof.prove(tmp_path)
    assert outcome.status == "PASS", outcome.log


@pytest.mark.parametrize("proof", _cases(covers=True))
def test_happens(proof: Proof, tmp_path):
    outcome = proof.cover(tmp_path)
    assert outcome.status == "PASS", outcome.log


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault, id=f"{fault.file}: {fault.old}", marks=[pytest.mark.full] if fault.full else []
        )
        for fault in FAULTS
    ],
)
def test_fault_is_seen(fault: Fault, tmp_path):
    shutil.copytree(ROOT / "hw", tmp_path / "hw", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    fault.apply(tmp_path / "hw")
    done = subprocess.run(
        [sys.executable, "-c", _REFUTE, fault.proof],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("FAIL"), done.stdout


def test_every_proof_has_a_fault():
    # The clients of the read port are alike: a fault that one sees is enough.
    proofs = {proof.name.partition(":")[0] for proof in PROOFS}
    assert {fault.proof.partition(":")[0] for fault in FAULTS} == proofs


def test_page_tells_what_is_proved():
    text = PAGE.read_text()
    assert text == page(times(text)), "python -m tests.formal --write brings it up to date"
