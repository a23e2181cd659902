"""Recipes: what they mean, what they inherit, and what they refuse, word for word."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.numerics.neuron import Site
from golden.recipe.recipe import SITES, RecipeError, known_recipes, load_recipe, locate, recipes_of


@pytest.fixture
def recipe(tmp_path):
    """Return a function that loads a recipe from its text, named r.toml in its messages."""

    def load(text: str):
        path = tmp_path / "r.toml"
        path.write_text(text)
        try:
            return load_recipe(path)
        except RecipeError as error:
            raise RecipeError(str(error).replace(str(path), "r.toml")) from None

    return load


def test_the_default_recipe():
    w8 = load_recipe("w8")
    places = [(0, "qkv"), (29, "down"), (None, "head"), (0, "query"), (5, "probabilities")]
    for layer, site in places:
        assert w8.site(layer, site, 576) == Site("absmax", 127, 256, 127)
        assert w8.dead_quantile(layer, site) == 0
    assert {w8.weight_bits(name) for name in ("lm_head", "layers.3.q", "layers.0.down")} == {8}


def test_every_named_recipe_loads():
    assert {"w8", "w4", "w2"} <= set(known_recipes())
    assert recipes_of("smollm2-135m") == [
        "smollm2-135m",
        "smollm2-135m-native",
        "smollm2-135m-native-sparse",
        "smollm2-135m-sparse",
    ]
    assert recipes_of("stories260k") == ["stories260k", "stories260k-exponents"]
    assert recipes_of("sdllm-7b") == []
    for name in known_recipes():
        recipe = load_recipe(name)
        for site in SITES:
            recipe.site(None if site == "head" else 0, site, 1536)
        bits = {"w8": 8, "w4": 4, "w2": 2}.get(name, 8)
        assert recipe.weight_bits("layers.0.gate") == bits


def test_settings_are_inherited_from_model_to_site_to_layer(recipe):
    r = recipe("""
        weight_bits = 4
        clip = 0.5
        dead_zone = 0.25
        [site.down]
        max_count = 31
        [layer.2.down]
        weight_bits = 8
        dead_zone = 0
        [layer.2.o]
        clip = 1
    """)
    assert r.site(0, "o", 64) == Site("absmax", 127, 128, 127, 0, 16384)
    assert r.site(2, "o", 64) == Site("absmax", 127, 256, 127, 0, 16384)
    assert r.site(1, "down", 64) == Site("absmax", 31, 128, 31, 0, 16384)
    assert r.site(2, "down", 64) == Site("absmax", 31, 128, 31, 0, 0)
    names = ("layers.2.down", "layers.2.o", "layers.1.down", "lm_head")
    assert [r.weight_bits(name) for name in names] == [8, 4, 4, 4]


def test_sites_within_attention_inherit_nothing_from_the_whole_model(recipe):
    everywhere = """
        weight_bits = 4
        max_count = 31
        rule = "static"
        peak = 8
        clip = 0.5
    """
    for zone in ("dead_zone = 1", "dead_quantile = 0.5"):
        r = recipe(everywhere + zone)
        for site in ("query", "probabilities"):
            assert r.site(1, site, 64) == Site("absmax", 127, 256, 127)
            assert r.dead_quantile(1, site) == 0
        r = recipe(
            everywhere
            + zone
            + """
            [site.query]
            max_count = 15
            [site.probabilities]
            dead_zone = 0.5
            [layer.1.query]
            clip = 0.25
            [layer.2.probabilities]
            rule = "static"
            peak = 2
        """
        )
        assert r.site(0, "query", 64) == Site("absmax", 15, 256, 15)
        assert r.site(1, "query", 64) == Site("absmax", 15, 64, 15)
        assert r.site(1, "probabilities", 9) == Site("absmax", 127, 256, 127, 0, 32768)
        assert r.site(2, "probabilities", 9) == Site("static", 127, 256, 127, 131072, 32768)
        alone = recipe(everywhere + zone + "\n[layer.3.probabilities]\nmax_count = 7")
        assert alone.site(3, "probabilities", 9) == Site("absmax", 7, 256, 7)


def test_mean_rule_takes_channels_times_kappa_rounded_half_away(recipe):
    r = recipe('rule = "mean"\nkappa = 2.5')
    assert r.site(0, "o", 577) == Site("mean", 127, 256, 1443)  # 1442.5
    assert r.site(0, "o", 1) == Site("mean", 127, 256, 3)
    assert recipe('rule = "mean"\nkappa = 0.001').site(0, "o", 4).divisor == 1
    with pytest.raises(RecipeError, match="does not fit the site o: divisor must be an integer"):
        recipe('rule = "mean"\nkappa = 1e6').site(0, "o", 576)


def test_static_rule_takes_its_peak_in_lsb(recipe):
    r = recipe('rule = "static"\npeak = 40.5\nmax_count = 15\nclip = 0.75')
    assert r.site(3, "qkv", 64) == Site("static", 15, 192, 15, peak=40 * 65536 + 32768)
    half_lsb = 0.5 / 65536
    assert recipe(f"dead_zone = {half_lsb!r}").site(0, "o", 4).dead_zone == 1
    assert recipe("dead_zone = 32768").site(0, "o", 4).dead_zone == 1 << 31


def test_another_rule_or_dead_zone_drops_what_belongs_to_the_old_one(recipe):
    r = recipe("""
        rule = "mean"
        kappa = 3
        dead_quantile = 0.25
        [site.o]
        rule = "absmax"
        clip = 0.5
        dead_zone = 1
        [layer.0.o]
        rule = "static"
        peak = 8
    """)
    assert r.site(1, "o", 64) == Site("absmax", 127, 128, 127, 0, 65536)
    assert r.site(0, "o", 64) == Site("static", 127, 256, 127, 8 * 65536, 65536)
    assert (r.dead_quantile(1, "o"), r.dead_quantile(1, "qkv")) == (0, 0.25)


def test_what_only_golden_can_do_is_refused_for_hardware(recipe):
    load_recipe("w8").require_static()
    with pytest.raises(RecipeError, match=r"^recipe sparse has a dead_quantile, which only the"):
        load_recipe("sparse").require_static()
    for place in ("site.down", "layer.3.down"):
        with pytest.raises(RecipeError, match="has a dead_quantile"):
            recipe(f"[{place}]\ndead_quantile = 0.5").require_static()


def test_layers_beyond_the_model_are_refused(recipe):
    r = recipe("[layer.5.down]\nclip = 0.5")
    r.require_layers(6)
    with pytest.raises(RecipeError, match="names layer 5, but the model's layers are 0 to 4$"):
        r.require_layers(5)


def test_locate():
    assert locate("layers.12.up") == (12, "gate_up")
    assert locate("lm_head") == (None, "head")
    with pytest.raises(ValueError, match=f"site must be one of {', '.join(SITES)}, not"):
        load_recipe("w8").site(0, "mlp", 4)


NAMES = "qkv, o, gate_up, down, query, probabilities"
OF_MATRICES = "weights, weight_bits, scale_bits, "
OF_SITES = "max_count, rule, clip, kappa, peak, dead_zone, dead_quantile, shifts"
KEYS = OF_MATRICES + OF_SITES
FEWER_KEYS = "max_count, rule, clip, peak, dead_zone, shifts"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weight_bits = 3", ": weight_bits must be 8, 4 or 2, not 3"),
        ("weight_bits = 8.0", ": weight_bits must be 8, 4 or 2, not 8.0"),
        ("max_count = 128", ": max_count must be an integer from 1 to 127, not 128"),
        ("max_count = true", ": max_count must be an integer from 1 to 127, not True"),
        ("rule = 'max'", ": rule must be one of absmax, mean, static, not 'max'"),
        ("rule = [1]", ": rule must be one of absmax, mean, static, not [1]"),
        ("clip = 0.3", ": clip must be a multiple of 1/256 from 1/256 to 1, not 0.3"),
        ("clip = 0", ": clip must be a multiple of 1/256 from 1/256 to 1, not 0"),
        ("clip = 1.5", ": clip must be a multiple of 1/256 from 1/256 to 1, not 1.5"),
        ("clip = nan", ": clip must be a multiple of 1/256 from 1/256 to 1, not nan"),
        ("clip = '1'", ": clip must be a multiple of 1/256 from 1/256 to 1, not '1'"),
        ("rule = 'mean'", ": kappa must be given for the rule 'mean'"),
        ("kappa = 3", ": kappa must be left out: the rule is 'absmax', not 'mean'"),
        ("rule = 'mean'\nkappa = 0", ": kappa must be a positive number up to 16777216, not 0"),
        ("rule = 'mean'\nkappa = inf", ": kappa must be a positive number up to 16777216, not inf"),
        ("rule = 'mean'\nkappa = 3\nclip = 0.5", ": clip must be 1 with the rule 'mean', not 0.5"),
        ("rule = 'static'", ": peak must be given for the rule 'static'"),
        ("peak = 1", ": peak must be left out: the rule is 'absmax', not 'static'"),
        ("weights = 'q4_1'", ": weights must be one of rows, native, auto, not 'q4_1'"),
        ("scale_bits = 4", ": scale_bits must be 16 or 8, not 4"),
        ("shifts = 4", ": shifts must be an integer from 0 to 3, not 4"),
        ("shifts = true", ": shifts must be an integer from 0 to 3, not True"),
        ("rule = 'mean'\nkappa = 3\nshifts = 1", ": shifts must be 0 with the rule 'mean', not 1"),
        ("dead_zone = -1", ": dead_zone must be a number from 0 to 32768, not -1"),
        ("dead_zone = 32769", ": dead_zone must be a number from 0 to 32768, not 32769"),
        ("dead_quantile = 1.0", ": dead_quantile must be a number from 0 to below 1, not 1.0"),
        ("dead_zone = 1\ndead_quantile = 0.5",
         ": dead_zone and dead_quantile exclude each other: leave one out"),
        ("tau = 1", f": a setting must be one of {KEYS}, not 'tau'"),
        ("[site.down]\ntau = 1", f", [site.down]: a setting must be one of {KEYS}, not 'tau'"),
        ("[site.down]\nclip = 2",
         ", [site.down]: clip must be a multiple of 1/256 from 1/256 to 1, not 2"),
        ("[layer.3.o]\nclip = 2",
         ", [layer.3.o]: clip must be a multiple of 1/256 from 1/256 to 1, not 2"),
        ("[site.mlp]\nclip = 1",
         f": a site in [site] must be one of {NAMES}, head, not 'mlp'"),
        ("[layer.0.head]\nclip = 1",
         f": a site in [layer.0] must be one of {NAMES}, not 'head'"),
        ("[site.query]\nweight_bits = 8",
         f", [site.query]: a setting must be one of {OF_SITES}, not 'weight_bits'"),
        ("[layer.0.query]\nweight_bits = 8",
         f", [layer.0.query]: a setting must be one of {OF_SITES}, not 'weight_bits'"),
        ("[site.probabilities]\ndead_quantile = 0.5",
         f", [site.probabilities]: a setting must be one of {FEWER_KEYS}, not 'dead_quantile'"),
        ("[layer.0.probabilities]\nrule = 'mean'",
         ", [layer.0.probabilities]: rule must be absmax or static, not 'mean'"),
        ("[layer.first.o]\nclip = 1", ": [layer.first] must be numbered like [layer.0.down]"),
        ("site = 3", ": [site] must hold tables of settings only"),
        ("[site]\nclip = 1", ": [site] must hold tables of settings only"),
        ("[layer.0]\nclip = 1", ": [layer.0] must hold tables of settings only"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused(recipe, text, said):
    with pytest.raises(RecipeError, match=f"^{re.escape('recipe r.toml' + said)}$"):
        recipe(text)


def test_a_file_that_is_no_recipe_is_refused(tmp_path):
    missing = tmp_path / "none.toml"
    with pytest.raises(RecipeError, match="^there is no recipe .*none.toml: name one of .*w8"):
        load_recipe(missing)
    with pytest.raises(RecipeError, match="^there is no recipe w9: name one of "):
        load_recipe("w9")
    broken = tmp_path / "broken.toml"
    broken.write_text("clip = = 1")
    with pytest.raises(RecipeError, match="is not valid TOML: Invalid value"):
        load_recipe(broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="is not valid TOML: "):
        load_recipe(broken)
    for nested in ("clip = " + "[" * 10_000, "clip" + ".a" * 10_000 + " = 1"):
        broken.write_text(nested)
        with pytest.raises(RecipeError, match=r"^recipe .*broken.toml is nested too deeply: "):
            load_recipe(broken)
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        load_recipe(tmp_path)


@given(st.integers(1, 256))
def test_every_multiple_of_a_256th_is_a_clip(tmp_path_factory, multiplier):
    path = tmp_path_factory.mktemp("recipe") / "clip.toml"
    path.write_text(f"clip = {multiplier / 256!r}")
    assert load_recipe(path).site(0, "o", 4).multiplier == multiplier
