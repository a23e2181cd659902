"""What every test may ask for: the seed, random numbers of its own, and the models' files."""

import hashlib
import os
import secrets
from pathlib import Path

# Before torch or a hub client is imported: two workers with a thread per core each fight over the
# cores, and no test may look for the network.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
# On a busy machine any command may take the seconds after which it says how far it is.
os.environ["SPIKELOOM_PROGRESS"] = "0"

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from golden.checkpoint import fetch  # noqa: E402

# A deadline on an example fails on a busy machine and says nothing about the code.
hypothesis.settings.register_profile("spikeloom", deadline=None, print_blob=True)
hypothesis.settings.load_profile("spikeloom")


def pytest_addoption(parser):
    """Add --seed."""
    parser.addoption("--seed", type=int, help="seed of every random choice; default: a new one")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Settle the seed before hypothesis reads it: given, the main process's, or a new one."""
    if hasattr(config, "workerinput"):
        config.option.seed = config.workerinput["seed"]
    elif config.option.seed is None:
        config.option.seed = secrets.randbelow(2**32)
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(config.option.seed)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Hand the seed to a worker of pytest-xdist."""
    node.workerinput["seed"] = node.config.option.seed


def pytest_report_header(config):
    """Print the seed before the first test."""
    return f"seed: {config.option.seed} (repeat with --seed {config.option.seed})"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Print the seed with every failure."""
    report = yield
    if report.failed:
        report.sections.append(("seed", f"repeat with --seed {item.config.option.seed}"))
    return report


@pytest.fixture
def seed(request) -> int:
    """Return a seed of this test's own, in [0, 2^32), derived from --seed and the test's name."""
    name = f"{request.config.option.seed} {request.node.nodeid}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


@pytest.fixture(scope="session")
def stories260k() -> Path:
    """Return the path of the stories260k checkpoint."""
    return model_path("stories260k")


@pytest.fixture(scope="session")
def smollm2_135m() -> Path:
    """Return the path of the SmolLM2-135M checkpoint."""
    return model_path("smollm2-135m")


def model_path(name: str) -> Path:
    """Return where a known model lies; skip the test where it does not: no test downloads."""
    if not fetch.is_present(name):
        pytest.skip(f"{name} is not there: python -m golden fetch {name} gets it")
    return fetch.locate(name)


@pytest.fixture
def rng(seed) -> np.random.Generator:
    """Return the random numbers of this test."""
    return np.random.default_rng(seed)
