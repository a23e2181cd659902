"""Vectors as spikes, and figures of them."""

import re

import numpy as np
import pytest
import torch

import spikeloom
from golden.numerics import codings

SETTINGS = "clip, dead_quantile, dead_zone, kappa, max_count, peak, rule, shifts"


@pytest.fixture
def x(rng):
    return rng.standard_normal((3, 40))


@pytest.mark.parametrize("coding", codings.CODINGS)
def test_trains_add_up_to_what_the_vectors_are(x, coding):
    spikes = spikeloom.encode(x)
    train = spikes.train(coding)
    assert train.shape == (spikes.time_steps(coding), 3, 40)
    decoded = codings.decode(torch.from_numpy(train), coding).numpy()
    assert np.array_equal(decoded, spikes.counts)
    assert spikes.count(coding) == np.count_nonzero(train)
    lsb = 2.0**-16
    assert np.all(np.abs(spikes.values - x) <= spikes.thresholds[:, None] / 2 + lsb)
    assert np.allclose(spikes.thresholds, np.abs(x).max(axis=1) / 127, atol=lsb)


def test_settings_are_those_of_a_recipe(x):
    few = spikeloom.encode(x, max_count=7, clip=0.5, dead_zone=0.5)
    assert few.max_count == np.abs(few.counts).max() == 7
    assert np.array_equal(few.counts == 0, np.abs(np.round(x * 2**16)) < 2**15)
    assert few.silent_values == np.mean(few.counts == 0) > 0
    half = spikeloom.encode(x, dead_quantile=0.5)
    assert np.all((half.counts == 0).sum(axis=1) == 20)


def test_tensors_and_single_vectors_are_taken_too(x):
    ours = spikeloom.encode(x).counts
    assert np.array_equal(spikeloom.encode(torch.tensor(x)).counts, ours)
    assert np.array_equal(spikeloom.encode(x[1].tolist()).counts, ours[1:2])


@pytest.mark.parametrize(
    ("x", "settings", "sentence"),
    [
        (np.zeros((1, 2, 3)), {}, "x must be (tokens, channels), not of shape (1, 2, 3)"),
        (np.zeros((0, 3)), {}, "x must be (tokens, channels), not of shape (0, 3)"),
        ([[1.0, np.nan]], {}, "x must be finite numbers, not NaN at (0, 1)"),
        ([[1.0], [np.inf]], {}, "x must be finite numbers, not infinity at (1, 0)"),
        ([1j], {}, "x must be real numbers, not complex ones"),
        ("abc", {}, "x must be an array of numbers, not str"),
        ([1.0], {"max_count": 0}, "max_count must be an integer from 1 to 127, not 0"),
        (
            [1.0],
            {"deadzone": 1},
            f"a setting must be one of {SETTINGS}, not deadzone",
        ),
    ],
    ids=lambda value: "",
)
def test_what_cannot_be_encoded_is_refused(x, settings, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        spikeloom.encode(x, **settings)


def test_a_raster_has_a_mark_for_every_spike_shown(x, tmp_path):
    spikes = spikeloom.encode(x, name="noise")
    drawn = spikes.raster("csd", tokens=[0, 2], channels=slice(5, 25))
    (axes,) = drawn.axes
    shown = spikes.train("csd")[:, [0, 2], 5:25]
    marks = [len(collection.get_offsets()) for collection in axes.collections]
    assert marks == [np.sum(shown == 1), np.sum(shown == -1)]
    up, _ = axes.collections
    at, channel = np.asarray(up.get_offsets()).astype(int).T
    steps = len(shown)
    assert np.all(shown[at % steps, at // steps, channel] == 1)
    for ending in ("svg", "pdf", "png"):
        first = drawn.save(tmp_path / f"a.{ending}").read_bytes()
        assert first == drawn.save(tmp_path / f"b.{ending}").read_bytes()
        assert len(first) > 1000
    assert drawn._repr_svg_().startswith("<?xml")
    with pytest.raises(ValueError, match="at least one token and one channel"):
        spikes.raster(channels=[])
    for wrong in ([5000], 5, "a", [0.5]):
        with pytest.raises(ValueError, match="channels must be a slice or indices of the 40 there"):
            spikes.raster(channels=wrong)


def test_a_figure_of_firing_has_a_mark_for_every_site_and_coding(x):
    sites = {"a": spikeloom.encode(x), "b": spikeloom.encode(x, dead_zone=1.0)}
    left, right = spikeloom.plot_firing(sites).axes
    means = {line.get_label(): line.get_ydata().tolist() for line in left.lines}
    assert means == {
        coding: [site.count(coding) / 120 for site in sites.values()] for coding in codings.CODINGS
    }
    assert [bar.get_height() for bar in right.patches] == [
        100 * site.silent_values for site in sites.values()
    ]
    with pytest.raises(ValueError, match="at least one site"):
        spikeloom.plot_firing({})
    with pytest.raises(ValueError, match="sites must be a mapping of names to Spikes, not a list"):
        spikeloom.plot_firing([sites["a"]])


def test_tables_show_and_give_their_columns(x):
    table = spikeloom.encode(x).table()
    assert table.columns == ["coding", "time steps", "spikes", "spikes per value"]
    assert list(table.column("coding")) == list(codings.CODINGS)
    assert table.column("time steps").tolist() == [127, 7, 8, 8]
    assert (
        repr(table).splitlines()[0].split() == "coding time steps spikes spikes per value".split()
    )
    assert table._repr_html_().count("<tr>") == 5
    assert "&lt;b&gt;" in spikeloom.Table([{"a": "<b>"}])._repr_html_()
    with pytest.raises(ValueError, match="column must be one of coding, .* not 'code'"):
        table.column("code")
