"""Profiles: what is counted, the file they are kept in, and what is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from golden.__main__ import main
from golden.console.errors import ProfileError
from golden.console.version import about
from golden.measure.profile import BATCHES, SPIKE_CODINGS
from golden.measure.profile_file import load_profile, save_profile
from golden.measure.profiling import record
from golden.model.integer import IntegerModel
from golden.numerics.codings import encode, time_steps_for
from tests.compiler.models import RandomCheckpoint, recipe

WINDOWS = [[3, 1, 4, 1, 5, 9, 2, 6, 5], [3, 5, 8, 9, 7]]


@pytest.fixture(scope="module")
def profile():
    return recorded(RandomCheckpoint(0, qkv_bias=False))


def recorded(checkpoint, chosen=None, **changes):
    chosen = chosen or recipe(dead_zone=0.02)
    return record(checkpoint, chosen, WINDOWS, text=("a.txt", "0" * 64), context=9, **changes)


def seen_by_golden(chosen) -> dict[str, list[np.ndarray]]:
    """Return each site's counts window by window, as another run observes them."""
    found = {}
    model = IntegerModel(
        RandomCheckpoint(0, qkv_bias=False),
        chosen,
        observe_site=lambda site, e, _: found.setdefault(site, []).append(e.counts.numpy()),
    )
    for ids in WINDOWS:
        model.head(model.hidden(ids))
    return found


def test_sites_are_counted_as_golden_encodes_them(profile):
    seen = seen_by_golden(recipe(dead_zone=0.02))
    assert set(seen) == set(profile.sites)
    for name in ("layers.0.qkv", "layers.1.o", "layers.1.down", "head"):
        site, counts = profile.sites[name], np.concatenate(seen[name]).astype(int)
        assert site.values == counts.size and site.channels == counts.shape[1]
        assert site.silent == pytest.approx((counts == 0).mean()) and 0 < site.silent < 1
        assert (site.fired == (counts != 0).sum(axis=0)).all()
        assert (site.firing() == (counts != 0)).all()
        for size in BATCHES:
            events = steps = slots = 0
            for window in seen[name]:
                for at in range(0, len(window), size):
                    batch = encode(
                        torch.from_numpy(window[at : at + size]), "csd", time_steps_for(127, "csd")
                    )
                    fires = batch.ne(0).any(dim=1)  # (steps, channels)
                    steps += int(fires.sum())
                    events += int(fires.any(dim=0).sum())
                    slots += window.shape[1]
            row = site.batches[BATCHES.index(size)]
            assert (row[0], row[1], row[4]) == (slots, events, steps)
        assert site.batches[0, 2] == np.abs(counts).sum()  # unary, one vector at a time
        assert site.spikes("unary") == pytest.approx(np.abs(counts).mean())


def test_heads_of_a_kv_head_share_batches_and_unseen_positions_do_not_count(profile):
    query, probabilities = (profile.site(0, kind) for kind in ("query", "probabilities"))
    tokens = sum(map(len, WINDOWS))
    assert query.batches[:, 0].tolist() == [tokens * 6 * 6, tokens * 4 * 6, *[tokens * 2 * 6] * 2]
    seen = sum(n * (n + 1) // 2 for n in map(len, WINDOWS))
    assert probabilities.batches[:, 0].tolist() == [seen * 6, seen * 4, seen * 2, seen * 2]
    assert probabilities.values == seen * 6 and not probabilities.bitmaps.size
    assert (np.diff(query.batches[:, 1]) <= 0).all()


def test_kept_tokens_are_spread_over_all_windows():
    every = recorded(RandomCheckpoint(0, qkv_bias=False)).sites["head"].firing()
    assert (
        recorded(RandomCheckpoint(0, qkv_bias=False), keep=5).sites["head"].firing() == every[::3]
    ).all()


def test_a_profile_comes_back_from_its_file(profile, tmp_path):
    save_profile(profile, tmp_path / "a.npz")
    again = load_profile(tmp_path / "a.npz")
    assert again.identity == profile.identity
    assert again.as_dict() == profile.as_dict()
    assert again.raster_layer == 1 and again.raster.keys() == profile.raster.keys()
    for name, site in profile.sites.items():
        assert (again.sites[name].bitmaps == site.bitmaps).all()
    assert (again.raster["layers.1.down"] == profile.raster["layers.1.down"]).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def edited(path: Path, change) -> Path:
    """Rewrite a profile's archive with `change` applied to its arrays."""
    with np.load(path) as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    change(arrays)
    np.savez(path, **arrays)
    return path


def header(arrays, **changes):
    told = json.loads(arrays["header"].tobytes()) | changes
    arrays["header"] = np.frombuffer(json.dumps(told).encode(), np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("header"),
        lambda arrays: arrays.pop("head/fired"),
        lambda arrays: arrays["layers.0.qkv/bitmaps"].__ixor__(1),
        lambda arrays: header(arrays, tokens=15),
        lambda arrays: header(arrays, sites={}),
        lambda arrays: arrays.update(header=np.zeros(4, np.uint8)),
    ],
)
def test_damage_is_one_sentence(profile, tmp_path, change):
    path = tmp_path / "a.npz"
    save_profile(profile, path)
    edited(path, change)
    with pytest.raises(ProfileError) as error:
        load_profile(path)
    assert str(error.value) == (
        f"profile {path} is damaged: record it again with python -m golden profile"
    )


@pytest.mark.parametrize("cut", [0, 100, 2000])
def test_a_cut_file_is_damaged(profile, tmp_path, cut):
    path = tmp_path / "a.npz"
    save_profile(profile, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ProfileError, match="is damaged"):
        load_profile(path)


def test_other_formats_and_nothing_are_named(profile, tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(ProfileError, match=f"there is no profile {path}"):
        load_profile(path)
    save_profile(profile, path)
    edited(path, lambda arrays: header(arrays, format=9))
    with pytest.raises(ProfileError, match="must be of format 1, not 9"):
        load_profile(path)


def test_what_a_profile_is_not_of_is_refused(profile):
    of, chosen = profile.identity, recipe(dead_zone=0.02)
    of.require(
        RandomCheckpoint(0, qkv_bias=False), dataclasses.replace(chosen, name="another name")
    )
    for checkpoint, wanted, sentence in (
        (
            RandomCheckpoint(0, layers=3, qkv_bias=False),
            chosen,
            "a model of other dimensions than random",
        ),
        (RandomCheckpoint(1, qkv_bias=False), chosen, "another checkpoint than this random"),
        (RandomCheckpoint(0, qkv_bias=False), recipe(), "which says something else than of a test"),
    ):
        with pytest.raises(ProfileError, match=sentence):
            of.require(checkpoint, wanted)


def test_the_command(stories260k, tmp_path, capsys):
    text, output = tmp_path / "t.txt", tmp_path / "p.npz"
    text.write_text("Once upon a time, there was a little girl named Lily.\n" * 3)
    arguments = ["profile", "--model", "stories260k", "--text", str(text), "--context", "20"]
    assert main([*arguments, "-o", str(output), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = load_profile(output)
    assert printed == json.loads(json.dumps({**about(), **found.as_dict()}))
    header = json.loads(np.load(output)["header"].tobytes())
    assert header["made_by"] == about()
    assert len(printed["sites"]) == 5 * 6 + 1
    assert set(printed["sites"][0]["spikes_per_value"]) == set(SPIKE_CODINGS)
    assert main([*arguments, "-o", str(output)]) == 0
    assert "tokens of t.txt" in capsys.readouterr().out
    for wrong, sentence in (
        (["-o", str(tmp_path / "p.json")], "--output must end in .npz, not 'p.json'"),
        (["-o", str(output), "--keep", "0"], "--keep must be at least 1, not 0"),
        (["-o", str(output), "--tokens", "1"], "--tokens must be 0 or at least 2, not 1"),
    ):
        assert main([*arguments, *wrong]) == 2
        assert capsys.readouterr().err == f"python -m golden profile: {sentence}\n"
