"""Perplexity: the windows, the sums, the figures of real models, and the command."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden.__main__ import main
from golden.checkpoint import fetch
from golden.checkpoint.checkpoint import load
from golden.measure.perplexity import Loss, measure, read_text, windows
from golden.model.llama import Model
from golden.model.spiking import SpikingLinear
from golden.recipe.recipe import known_recipes, load_recipe

TEXTS = Path(__file__).resolve().parents[4] / "shared" / "text"


def text(name: str) -> Path:
    if not (TEXTS / name).exists():
        pytest.skip(f"{name} is not in ../shared/text")
    return TEXTS / name


documents = st.lists(st.text("abc", max_size=12), max_size=5)


@given(documents, st.integers(2, 5), st.none() | st.integers(2, 30))
def test_windows_cut_every_document_from_its_start(texts, context, tokens):
    found = list(windows(texts, lambda document: [ord(c) for c in document], context, tokens))
    want, left = [], math.inf if tokens is None else tokens
    for document in texts:
        ids = [ord(c) for i, c in enumerate(document) if i < left]
        left -= len(ids)
        want += [ids[i : i + context] for i in range(0, len(ids), context)]
    assert found == [window for window in want if len(window) > 1]


def test_documents_end_at_their_line(tmp_path):
    path = tmp_path / "text"
    path.write_text("one\ntwo <|endoftext|>\n<|endoftext|>\n\n<|endoftext|>\nthree")
    assert read_text(path) == ["one\ntwo <|endoftext|>\n", "three"]


class Fixed:
    """A model that gives each next token a fixed probability, by the one it follows."""

    def forward(self, ids):
        table = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
        return table[torch.tensor(ids)].log() + 5  # logits need not be normalized


def test_loss_is_the_mean_over_predictions():
    loss = Loss()
    loss.add(Fixed(), [0, 1, 1])
    loss.add(Fixed(), [2, 0])
    assert loss.predictions == 3
    assert loss.nats == pytest.approx(-math.log(0.25 * 0.8 * 0.2), rel=1e-6)
    assert loss.perplexity == pytest.approx((0.25 * 0.8 * 0.2) ** (-1 / 3), rel=1e-6)
    assert Loss(1e6, 1).perplexity == math.inf


def test_divergence_is_what_the_float_model_would_lose(stories260k):
    checkpoint, recipe, ids = load(stories260k), load_recipe("w2"), [1, 403, 407, 261, 378, 432]
    found = measure(checkpoint, recipe, [ids, ids[:3]])
    linear = SpikingLinear(checkpoint.config, checkpoint.tensor, recipe)
    p, q = (
        m.forward(ids)[:-1].double().softmax(1)
        for m in (Model(checkpoint), Model(checkpoint, linear))
    )
    each = (p * (p / q).log()).sum(dim=1)
    assert found.divergence == pytest.approx(float(each.sum() + each[:2].sum()), rel=1e-3)
    assert found.as_dict()["divergence_nats_per_token"] == found.divergence / 7 > 0.01


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(list(arguments))
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    return status, out, err


STORIES = ("perplexity", "--model", "stories260k")


@pytest.fixture
def stories(stories260k) -> tuple[str, ...]:
    """Return the arguments that measure stories260k on its own kind of text."""
    return (*STORIES, "--text", str(text("tinystories_train_head.txt")))


def test_stories260k_loses_little(stories, capsys):
    status, out, err = run(capsys, *stories, "--tokens", "1500", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert 1490 < found["tokens"] <= 1500
    assert found["predictions"] == found["tokens"] - found["windows"]
    fp32, spiking = found["fp32"], found["spiking"]
    assert 1.1 < fp32["nats_per_token"] < 1.45
    assert fp32["perplexity"] == pytest.approx(math.exp(fp32["nats_per_token"]))
    assert abs(spiking["perplexity"] / fp32["perplexity"] - 1) < 0.02
    assert len(found["sites"]) == 5 * 4 + 1
    assert found["arithmetic"] == "float" and "residual" not in found
    assert found["sites"][3]["layer"] == 0 and found["sites"][3]["site"] == "down"
    assert found["sites"][-1]["layer"] is None and found["sites"][-1]["site"] == "head"
    for site in (*found["sites"], *found["by_site"].values()):
        spikes = site["spikes_per_value"]
        assert spikes["csd"] <= spikes["bitwise"] <= spikes["unary"]
        assert sum(site["histogram"]) == site["values"] and len(site["histogram"]) == 128
        assert site["histogram"][0] / site["values"] == site["silent_fraction"]
        assert site["clipped_fraction"] == 0
    assert found["by_site"]["qkv"]["values"] == 5 * 64 * found["tokens"]
    assert found["by_site"]["all"]["values"] == sum(site["values"] for site in found["sites"])


def test_integers_lose_little_more_than_spikes(stories, capsys):
    arguments = (*stories, "--tokens", "1500", "--arithmetic", "integer", "--json")
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["arithmetic"] == "integer"
    assert abs(found["spiking"]["perplexity"] / found["fp32"]["perplexity"] - 1) < 0.01
    assert found["residual"]["saturated"] == 0 and 5 < found["residual"]["largest"] < 100
    assert [site["site"] for site in found["sites"][:6]] == [
        "qkv", "query", "probabilities", "o", "gate_up", "down"
    ]  # fmt: skip
    probabilities, tokens = found["by_site"]["probabilities"], found["tokens"]
    assert found["by_site"]["query"]["values"] == 5 * 64 * tokens
    assert probabilities["values"] < 5 * 8 * tokens * (512 + 1) / 2
    assert 1.8 < found["spikes_per_weight"]["csd"] < 2.6
    status, out, _ = run(capsys, *arguments[:-1])
    assert status == 0 and "\nprobabilities " in out
    assert "residual stream: largest magnitude" in out and ", 0 saturated" in out


def test_the_table_shows_every_site(stories, capsys):
    status, out, err = run(capsys, *stories, "--tokens", "200", "--recipe", "w4", "--per-layer")
    assert (status, err) == (0, "")
    assert "fp32    perplexity " in out and "spiking perplexity " in out
    assert "divergence of spiking from fp32: 0." in out
    for row in ("layers.4.gate_up", "head", "down", "all"):
        assert f"\n{row} " in out


def test_measure_weighs_spikes_by_fan_out(stories260k):
    found = measure(load(stories260k), load_recipe("w8"), [[1, 5, 9], [1, 7]])
    assert found.fan_out["layers.0.qkv"] == 64 + 32 + 32
    assert found.fan_out["layers.4.gate_up"] == 2 * 172
    assert found.fan_out["head"] == 512
    spikes = sum(found.sites[name].spikes("csd") * found.fan_out[name] for name in found.sites)
    weights = 5 * (64 * 128 + 64 * 64 + 64 * 344 + 172 * 64) + 64 * 512
    assert found.spikes_per_weight("csd") == pytest.approx(spikes / (5 * weights))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tokens", "1"), "--tokens must be 0 or at least 2, not 1"),
        (("--tokens", "-5"), "--tokens must be 0 or at least 2, not -5"),
        (("--context", "1"), "--context must be from 2 to 512 for this model, not 1"),
        (("--context", "513"), "--context must be from 2 to 512 for this model, not 513"),
        (("--recipe", "w9"), f"there is no recipe w9: name one of {known_recipes()[0]}, "),
        (("--text", "none.txt"), "text none.txt cannot be read: No such file or directory"),
        (("--model", "none.bin"), "there is no checkpoint none.bin: name "),
    ],
)  # fmt: skip
def test_user_errors_are_one_sentence(stories, capsys, arguments, said):
    status, out, err = run(capsys, *stories, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"python -m golden perplexity: {said}") and err.count("\n") == 1


def test_texts_that_cannot_be_used_are_refused(stories260k, tmp_path, capsys):
    path = tmp_path / "text"
    for content, said in (
        (b"\xff\xfea", f"text {path} must be UTF-8, and byte 0 is not"),
        (b" \n", f"text {path} must have at least 2 tokens to predict one"),
    ):
        path.write_bytes(content)
        status, out, err = run(capsys, *STORIES, "--text", str(path))
        assert (status, out, err) == (2, "", f"python -m golden perplexity: {said}\n")


def test_wrong_arguments_are_one_sentence(capsys):
    status, out, err = run(capsys, "perplexity", "--model", "stories260k")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "the following arguments are required: --text" in err
    status, _, err = run(capsys, *STORIES, "--text", "t", "--arithmetic", "half")
    assert (status, err.count("\n")) == (2, 1) and "argument --arithmetic: invalid choice" in err
    status, _, err = run(capsys, "fetch", "gpt2")
    assert status == 2
    assert (
        err == f"python -m golden fetch: model must be one of {', '.join(fetch.KNOWN)}, not gpt2\n"
    )


def test_fetch_prints_where_the_model_is(stories260k, capsys):
    assert run(capsys, "fetch", "stories260k")[:2] == (0, f"{stories260k}\n")


@pytest.mark.parametrize("command", [(), ("perplexity",), ("generate",), ("fetch",)])
def test_every_command_has_help(capsys, command):
    status, out, _ = run(capsys, *command, "--help")
    assert status == 0 and "usage: python -m golden" in out


@pytest.mark.full
def test_smollm2_comes_near_its_known_figures(smollm2_135m, capsys):
    arguments = ("--model", str(smollm2_135m), "--text", str(text("wikitext2_valid.txt")))
    found = json.loads(run(capsys, "perplexity", *arguments, "--tokens", "24576", "--json")[1])
    # Known to three digits, and whether the token after each window counts is worth 0.01.
    assert found["fp32"]["perplexity"] == pytest.approx(16.7, abs=0.1)
    assert 1 < found["spiking"]["perplexity"] / found["fp32"]["perplexity"] < 1.05
    assert found["spikes_per_weight"]["csd"] == pytest.approx(1.59, abs=0.08)
