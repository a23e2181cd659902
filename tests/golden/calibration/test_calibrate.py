"""Calibration: it reruns to the same recipe, keeps to its budget, and what is shipped holds."""

from dataclasses import replace

import pytest
import torch

from golden.__main__ import main
from golden.calibration.calibrate import Calibration, Point, best
from golden.calibration.curve import curve as curve_of
from golden.calibration.split import split
from golden.checkpoint.checkpoint import load
from golden.checkpoint.names import matrices
from golden.measure.perplexity import measure, read_text, windows
from golden.numerics.fixed import to_fixed
from golden.numerics.neuron import encode_vectors
from golden.recipe.recipe import load_recipe, to_toml
from golden.recipe.settings import SiteSettings
from tests.golden.measure.test_perplexity import text

STORIES = "tinystories_train_head.txt"


@pytest.fixture
def short_text(tmp_path):
    """Return the first hundred stories: a text that is encoded in no time."""
    stories = read_text(text(STORIES))[:100]
    path = tmp_path / "stories.txt"
    path.write_text("<|endoftext|>\n".join(story.rstrip() + "\n" for story in stories))
    return path


def calibrate(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main(["calibrate", "--model", "stories260k", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_it_keeps_to_the_budget_and_reruns_to_the_same(stories260k, short_text, tmp_path, capsys):
    paths = [tmp_path / "first" / "recipe.toml", tmp_path / "again" / "recipe.toml"]
    for path in paths:
        path.parent.mkdir()
        status, out, err = calibrate(
            capsys, "--text", short_text, "--tokens", 2048, "--skip", 0.2, "-o", path
        )
        assert (status, err) == (0, "")
        assert out.endswith(f"{path}\n")
    for name in ("recipe.toml", "recipe.fold.npz"):
        assert len({(path.parent / name).read_bytes() for path in paths}) == 1
    checkpoint = load(stories260k)
    checks = split(read_text(short_text), checkpoint.tokenizer.encode, 512, 2048).checks
    found = measure(checkpoint, load_recipe(paths[0]), checks)
    ratio = found.spiking.perplexity / found.fp32.perplexity
    assert ratio < 1.05 and f"Perplexity {ratio:.4f} x fp32" in paths[0].read_text()
    assert found.skipped >= 0.2


def test_what_cannot_be_had_is_one_sentence(stories260k, short_text, tmp_path, capsys):
    path = tmp_path / "recipe.toml"
    common = ("--text", short_text, "-o", path)
    for arguments, said in (
        (("--budget", 1), "--budget must be above 1, not 1.0"),
        (("--skip", 1), "--skip must be between 0 and 1, not 1.0"),
        (
            ("-o", tmp_path / "none" / "r.toml"),
            f"--output must lie in a directory that exists, not {tmp_path / 'none' / 'r.toml'}",
        ),
        (
            ("--report", tmp_path / "none" / "r.json"),
            f"--report must lie in a directory that exists, not {tmp_path / 'none' / 'r.json'}",
        ),
        (("--tokens", 20), f"text {short_text} and --tokens must leave two windows to calibrate"),
        (
            ("--tokens", 1024, "--budget", 1.001, "--skip", 0.5),
            "no recipe was found within the budget of 1.001 that skips 50%: ask for less",
        ),
    ):
        status, _, err = calibrate(capsys, *common, *arguments)
        assert status == 2 and err.count("\n") == 1
        assert err.startswith(f"python -m golden calibrate: {said}")
        assert not path.exists()


@pytest.mark.parametrize("settings", [SiteSettings(), SiteSettings(shifts=3, max_count=31)])
def test_curves_are_what_dead_zones_do(seed, settings):
    torch.manual_seed(seed)
    x, g = torch.randn(7, 50), torch.randn(7, 50)
    curve = curve_of(x, g, 3, site=settings.site(50))
    assert settings != SiteSettings() or torch.equal(curve.nats, curve_of(x, g, 3).nats)
    encoded = encode_vectors(to_fixed(x), settings.site(50))
    for zone, nats, skipped in zip(curve.dead_zones, curve.nats, curve.skipped, strict=True):
        spikes = encoded.spikes.double()
        spikes[x.abs() < zone] = 0
        error = spikes * encoded.v[:, None] / 2**40 - x
        loss = float(((error * g).sum(1).square() / 2).log1p().sum())
        assert nats == pytest.approx(loss, rel=1e-4)
        assert skipped == 3 * (spikes == 0).sum()


def test_texts_are_parted_from_their_end():
    documents = ["d" * 60, "a" * 1200, "b" * 30, "c" * 32000]
    parts = split(documents, lambda s: list(s.encode()), 100, 450, 100)
    assert parts.fold == "a" * 736 + "\n" + "b" * 30 + "\n" + "c" * 32000 + "\n"
    assert [len(w) for w in parts.slopes] == [100, 100, 50]
    assert [len(w) for w in parts.checks] == [100, 100]
    assert [bytes(w) for w in parts.lessons] == [b"a" * 14, b"d" * 60]


def test_the_best_point_is_within_its_budget():
    points = [Point(None, 1.01, 0.1), Point(None, 1.04, 0.3), Point(None, 1.06, 0.4)]
    assert best(points, 1.05).skipped == 0.3
    assert best(points, 1.05, 0.05).skipped == 0.1
    assert best(points, 1.05, 0.35) is None


def test_a_recipe_survives_its_file(tmp_path):
    recipe = replace(load_recipe("stories260k"), fold="Once upon a time\n")
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(recipe, ["a comment\nmax_count = 1"]))
    again = load_recipe(path)
    assert (again.default, again.sites, again.layer_sites, again.fold) == (
        recipe.default, recipe.sites, recipe.layer_sites, recipe.fold,
    )  # fmt: skip
    odd = replace(recipe, fold='a\x0c\x1b\x00\x7f\r\t"\\\nü"""')
    path.write_text(to_toml(odd), encoding="utf-8", newline="")
    assert load_recipe(path).fold == odd.fold


def test_the_recipe_of_stories260k_holds_its_claim(stories260k):
    checkpoint = load(stories260k)
    batches = list(windows(read_text(text(STORIES))[:20], checkpoint.tokenizer.encode, 512, 4096))
    found = measure(checkpoint, load_recipe("stories260k"), batches)
    assert found.spiking.perplexity < 1.05 * found.fp32.perplexity
    assert found.skipped > 0.2
    gentler = measure(checkpoint, load_recipe("stories260k-exponents"), batches)
    assert gentler.spiking.perplexity < 1.02 * gentler.fp32.perplexity
    assert gentler.skipped > 0.15


@pytest.mark.parametrize(
    ("recipe", "ratio", "skipped"),
    [
        ("smollm2-135m", 1.06, 0.3),
        pytest.param("smollm2-135m-sparse", 1.1, 0.37, marks=pytest.mark.full),
        pytest.param("smollm2-135m-native", 1.02, 0.02, marks=pytest.mark.full),
        ("smollm2-135m-native-sparse", 1.05, 0.14),
    ],
)
def test_the_recipes_of_smollm2_hold_their_claims(smollm2_135m, recipe, ratio, skipped):
    """On one window, which is spoken for by neither fold, adapter, curves nor checks."""
    checkpoint = load(smollm2_135m)
    documents = read_text(text("wikitext2_valid.txt"))
    ids = checkpoint.tokenizer.encode(documents[0][:12000])[:1024]
    found = measure(checkpoint, load_recipe(recipe), [ids])
    assert found.spiking.perplexity < ratio * found.fp32.perplexity
    assert found.skipped > skipped


def test_an_adapter_is_learnt_kept_and_used_again(stories260k, short_text, tmp_path, capsys):
    path = tmp_path / "recipe.toml"
    common = ("--text", short_text, "--tokens", 2048, "--skip", 0.2)
    status, out, err = calibrate(capsys, *common, "--distil", 3000, "-o", path)
    fold, adapter = (path.with_suffix(f".{kind}.npz") for kind in ("fold", "adapter"))
    assert (status, err) == (0, "") and out.endswith(f"{fold}\n{adapter}\n{path}\n")
    assert "--distil 3000" in path.read_text().splitlines()[0]
    learnt = load_recipe(path)
    assert (learnt.fold.raw, learnt.adapter.raw) == (fold.read_bytes(), adapter.read_bytes())
    other = tmp_path / "below" / "other.toml"
    other.parent.mkdir()
    status, out, err = calibrate(capsys, *common, "--fold", fold, "--adapter", adapter, "-o", other)
    assert (status, err) == (0, "")
    again = load_recipe(other)
    assert (again.fold.raw, again.adapter.raw) == (learnt.fold.raw, learnt.adapter.raw)
    assert again.layer_sites == learnt.layer_sites
    assert [path.name for path in other.parent.iterdir()] == ["other.toml"]
    status, out, err = calibrate(
        capsys, *common, "--fold", fold, "--adapter", adapter, "--distil", 3000, "-o", other
    )
    assert (status, err) == (0, "") and out.endswith(
        f"{fold}\n{other.with_suffix('.adapter.npz')}\n{other}\n"
    )
    further = load_recipe(other)
    assert further.adapter.raw != learnt.adapter.raw == adapter.read_bytes()
    assert f"--distil 3000 --fold {fold.name} --adapter {adapter.name}" in other.read_text()


def test_an_adapter_brings_curves_of_its_own_and_learns_on_for_its_share(stories260k, monkeypatch):
    checkpoint, taught = load(stories260k), []
    ups = {name: torch.ones(checkpoint.shape(name)[0], 2) for name in matrices(checkpoint.config)}

    def distil(teacher, student, zones, lessons, rank, step, before):
        taught.append((zones, before))
        return ups

    monkeypatch.setattr("golden.calibration.calibrate.distil", distil)
    windows = [[1, *range(300, 340)], [1, *range(340, 380)]]
    found = Calibration(checkpoint, None, windows[:1], windows[1:])
    own = found.curves["head"].nats
    found.distil(windows, 0.3)
    assert not torch.equal(found.curves["head"].nats, own)
    zones = found.zones(0.3)
    found.distil(windows, 0.3)
    (first, nothing), (second, before) = taught
    assert nothing is None and before.keys() == ups.keys()
    assert len(first) == 4 and first[:3] == 3 * first[:1] != 3 * first[3:]
    assert second == [zones] != first[:1]


def test_what_was_learnt_is_not_written_over(stories260k, short_text, tmp_path, capsys):
    adapter = tmp_path / "recipe.adapter.npz"
    adapter.write_bytes(load_recipe("smollm2-135m").adapter.raw)
    arguments = ("--distil", 3000, "--adapter", adapter, "--fold-text", short_text)
    arguments += ("-o", tmp_path / "recipe.toml")
    status, _, err = calibrate(capsys, "--text", short_text, *arguments)
    assert (status, err) == (
        2,
        (
            f"python -m golden calibrate: --distil would write over --adapter {adapter}: "
            "give another --output\n"
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--distil", -1), "--distil must be a number of tokens, not -1"),
        (("--distil", 9, "--tokens", 10**6), "text {text} must be longer than what --tokens takes"),
        (
            ("--fold-text", __file__, "--adapter", "none.npz"),
            "adapter none.npz cannot be read: No such file or directory",
        ),
        (
            ("--fold-text", __file__, "--adapter", __file__),
            f"adapter {__file__} is no archive of arrays, or a damaged one",
        ),
        (("--fold", __file__), f"fold {__file__} is no archive of arrays, or a damaged one"),
        (("--adapter", "a.npz"), "--adapter needs the fold it was learnt with: give --fold too"),
        (("--report", "{folder}"), "--report must be a file, and {folder} is a directory"),
        (("--report", "{folder}/recipe.toml"), "--report and --output must be two files, not both"),
        (("--fold", "x", "--fold-text", "y"), "--fold and --fold-text both say what to fold"),
    ],
)
def test_bad_arguments_of_adapters(stories260k, short_text, tmp_path, capsys, arguments, said):
    path = tmp_path / "recipe.toml"
    arguments = [str(argument).format(folder=tmp_path) for argument in arguments]
    status, _, err = calibrate(capsys, "--text", short_text, "-o", path, *arguments)
    assert status == 2 and err.count("\n") == 1
    assert err.startswith(
        f"python -m golden calibrate: {said.format(text=short_text, folder=tmp_path)}"
    )
    assert not list(tmp_path.glob("recipe*"))


def test_the_grid_is_kept_with_exponents_and_dead_zones(stories260k, short_text, tmp_path, capsys):
    path = tmp_path / "recipe.toml"
    common = ("--text", short_text, "--tokens", 2048, "--keep-grid")
    status, out, err = calibrate(
        capsys, *common, "--shifts", 2, "--max-count", 63, "--skip", 0.2, "-o", path
    )
    exponents = path.with_suffix(".exponents.npz")
    assert (status, err) == (0, "") and out.endswith(f"{exponents}\n{path}\n")
    assert sorted(p.name for p in tmp_path.glob("recipe*")) == [exponents.name, path.name]
    recipe = load_recipe(path)
    assert recipe.fold is recipe.adapter is None
    assert recipe.exponents.raw == exponents.read_bytes()
    assert recipe.default == SiteSettings(weights="auto", max_count=63, shifts=2)
    assert recipe.settings(None, "head").max_count == 127
    assert recipe.settings(None, "head").shifts == recipe.settings(2, "down").shifts == 2
    assert recipe.settings(2, "down").dead_zone > 0
    checkpoint = load(stories260k)
    checks = split(read_text(short_text), checkpoint.tokenizer.encode, 512, 2048).checks
    found = measure(checkpoint, recipe, checks)
    ratio = found.spiking.perplexity / found.fp32.perplexity
    assert f"Perplexity {ratio:.4f} x fp32, {found.skipped:.1%}" in path.read_text()
    assert found.skipped >= 0.2 and ratio < 1.05


def test_exponents_and_dead_zones_may_each_be_left_out(stories260k, short_text, tmp_path, capsys):
    path = tmp_path / "recipe.toml"
    common = ("--text", short_text, "--tokens", 1200, "--keep-grid", "-o", path)
    status, _, err = calibrate(capsys, *common, "--no-dead-zones", "--weights-from", "rows")
    assert (status, err) == (0, "")
    recipe = load_recipe(path)
    assert recipe.layer_sites == {}
    assert recipe.sites == {site: SiteSettings(shifts=3) for site in ("query", "probabilities")}
    assert recipe.default == SiteSettings() and recipe.exponents.of("head", 64).any()
    path.with_suffix(".exponents.npz").unlink()
    status, _, err = calibrate(capsys, *common, "--no-exponents", "--shifts", 3)
    assert (status, err) == (0, "")
    assert [p.name for p in tmp_path.glob("recipe*")] == [path.name]
    recipe = load_recipe(path)
    assert recipe.exponents is None and recipe.default.shifts == 3
    assert recipe.settings(None, "head").dead_zone > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--weights-from", "native"),
            "--weights-from native needs --keep-grid: a fold leaves the grid",
        ),
        (("--scale-bits", 8), "--scale-bits needs --keep-grid"),
        (("--no-exponents",), "--no-exponents needs --keep-grid"),
        (
            ("--keep-grid", "--distil", 9),
            "--distil changes weights: leave it or --keep-grid out",
        ),
        (
            ("--keep-grid", "--fold-text", "y"),
            "--fold-text changes weights: leave it or --keep-grid out",
        ),
        (
            ("--no-dead-zones", "--skip", 0.2),
            "--skip needs dead zones: leave --no-dead-zones out",
        ),
        (("--shifts", 4), "--shifts must be an integer from 0 to 3, not 4"),
        (("--max-count", 0), "--max-count must be an integer from 1 to 127, not 0"),
        (("--keep-grid", "--scale-bits", 4), "--scale-bits must be 16 or 8, not 4"),
    ],
)
def test_bad_arguments_of_encoding(short_text, tmp_path, capsys, arguments, said):
    path = tmp_path / "recipe.toml"
    status, _, err = calibrate(capsys, "--text", short_text, "-o", path, *arguments)
    assert (status, err) == (2, f"python -m golden calibrate: {said}\n")
    assert not list(tmp_path.glob("recipe*"))
