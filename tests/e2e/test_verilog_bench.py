"""The bench that `hw generate --bench` writes, run by simulators that know nothing of Python."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

import hw.matmul.array
from compiler.programs.layers import build
from golden.recipe.recipe import load_recipe
from hw.__main__ import main
from hw.contract.boards import BOARDS
from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from hw.generate.bench import BENCH, EXPECTED
from hw.generate.choice import settings_between
from hw.generate.emit import TOP, emit
from hw.generate.netlist import CELLS, NETLIST, netlist
from sim.rtl.verilog import verilator

ICARUS = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (iverilog) is missing")
STALLS = ("+stalls=40", "+latency=7", "+seed=5")
# The wheel's makefile names the machine it was built on, and knows no precompiled headers.
_MAKE = "CXX=g++ LINK=g++ AR=ar PERL=perl CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O0"


def generate(directory, *arguments):
    assert main(["generate", *arguments, "-o", str(directory)]) == 0
    return directory


def icarus(directory, *plusargs):
    command = ["iverilog", "-g2012", "-s", "spikeloom_bench", "-o", "bench.vvp"]
    subprocess.run([*command, BENCH, f"{TOP}.v"], cwd=directory, check=True)
    return subprocess.run(
        ["vvp", "bench.vvp", *plusargs], cwd=directory, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """Return the directory of `test` with a bench of random weights."""
    directory = tmp_path_factory.mktemp("layer")
    return generate(directory, "--preset", "test", "--bench", "o0", "--model", "synthetic")


@ICARUS
def test_icarus_finds_goldens_words_whatever_the_stalls(layer):
    text = (layer / BENCH).read_text()
    assert "Runs o0 of stories260k (synthetic weights), recipe auto, coding csd, 2 tokens" in text
    runs = [icarus(layer, *plusargs) for plusargs in ((), STALLS)]
    for run in runs:
        assert run.returncode == 0, run.stdout
        assert run.stdout.startswith("PASS: 128 words compared, ")
    assert runs[0].stdout != runs[1].stdout  # the stalls cost cycles


@ICARUS
def test_a_flipped_sign_is_found(layer, tmp_path, monkeypatch):
    right = hw.matmul.array.accumulate
    shutil.copytree(layer, tmp_path, dirs_exist_ok=True)
    with monkeypatch.context() as patched:
        patched.setattr(
            hw.matmul.array, "accumulate", lambda v, w, plus, minus: right(v, w, minus, plus)
        )
        emit(preset("test"), tmp_path)
    run = icarus(tmp_path)
    assert run.returncode != 0
    assert "FAIL: 128 of 128 words differ" in run.stdout
    assert run.stdout.count("expected") == 10  # and no more, of so many


@ICARUS
def test_words_that_are_missing_from_a_file_are_found(layer, tmp_path):
    shutil.copytree(layer, tmp_path, dirs_exist_ok=True)
    expected = tmp_path / EXPECTED
    lines = expected.read_text().splitlines(keepends=True)
    expected.write_text("".join(lines[:-3]))
    run = icarus(tmp_path)
    assert run.returncode != 0 and "FAIL: 3 of 128 words differ" in run.stdout


@ICARUS
def test_other_hardware_is_found(layer, tmp_path):
    shutil.copytree(layer, tmp_path, dirs_exist_ok=True)
    emit(replace(preset("test"), event_depth=32), tmp_path)
    run = icarus(tmp_path)
    assert run.returncode != 0 and "FAIL: this hardware is not the program's" in run.stdout


@ICARUS
def test_icarus_runs_a_trained_models_layer(stories260k, tmp_path):
    run = icarus(generate(tmp_path, "--preset", "test", "--bench", "q0"), *STALLS)
    assert "Runs q0 of stories260k, recipe" in (tmp_path / BENCH).read_text()
    assert run.returncode == 0, run.stdout
    assert run.stdout.startswith("PASS: 128 words compared, ")


def verilated(directory, *sources, options=()):
    """Return what a bench prints under Verilator, with stalls, and its status."""
    command = [str(verilator()), "--binary", "--timing", "--top-module", "spikeloom_bench"]
    command += ["-CFLAGS", "-std=gnu++20 -fcoroutines"]  # nor is it told of coroutines
    command += ["-MAKEFLAGS", f"{_MAKE} PYTHON3={sys.executable}", *options, *sources, BENCH]
    built = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "-Wno-fatal" in options or "%Warning" not in built.stderr, built.stderr
    run = [directory / "obj_dir" / "Vspikeloom_bench", *STALLS]
    return subprocess.run(run, cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.full
def test_verilator_runs_the_same_bench_in_as_many_cycles(layer):
    run = verilated(layer, f"{TOP}.vlt", f"{TOP}.v")
    assert run.returncode == 0, run.stdout
    assert run.stdout.startswith("PASS: 128 words compared, ")
    if shutil.which("iverilog"):
        assert run.stdout.splitlines()[0] == icarus(layer, *STALLS).stdout.splitlines()[0]


@ICARUS
@pytest.mark.full
def test_the_netlist_of_an_ecp5_gives_the_same_words_in_as_many_cycles(layer, tmp_path):
    shutil.copytree(layer, tmp_path, dirs_exist_ok=True)
    netlist(preset("test"), tmp_path)
    assert re.search(r"^  DP16KD #", (tmp_path / NETLIST).read_text(), re.MULTILINE)
    quick = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "--output-split", "20000")
    run = verilated(tmp_path, NETLIST, CELLS, options=quick)
    assert run.returncode == 0, run.stdout
    assert run.stdout.splitlines()[0] == icarus(layer, *STALLS).stdout.splitlines()[0]


def test_hardware_for_a_program_has_its_fingerprint(stories260k, tmp_path, capsys):
    from golden.checkpoint import checkpoint

    picked = replace(BOARDS["kv260"].params, tokens=2, lanes=16, max_channels=2048)
    compiled = build(
        checkpoint.load("stories260k"),
        ["o0"],
        tmp_path / "compiled",
        params=picked,
        recipe=load_recipe("w8"),
    )
    settings = settings_between(picked, BOARDS["kv260"].params)
    assert settings == ["tokens=2", "lanes=16", "max_channels=2048"]
    ways = [["--from", str(compiled.directory)], ["--board", "kv260"]]
    for setting in settings:
        ways[1] += ["--set", setting]
    for way in ways:
        generate(tmp_path / "rtl", *way, "--json")
        described = json.loads(capsys.readouterr().out)
        assert described["fingerprint"] == compiled.fingerprint == fingerprint(picked)
        assert compiled.fingerprint in (tmp_path / "rtl" / f"{TOP}.v").read_text()


def test_a_bench_of_a_compiled_directory_runs_its_layers(stories260k, tmp_path):
    from golden.checkpoint import checkpoint

    compiled = build(
        checkpoint.load("stories260k"),
        ["k1"],
        tmp_path / "compiled",
        params=preset("test"),
        recipe=load_recipe("w4"),
        tokens=1,
    )
    directory = generate(tmp_path / "rtl", "--from", str(compiled.directory), "--bench")
    text = (directory / BENCH).read_text()
    assert "Runs k1 of stories260k, recipe w4, coding csd, 1 tokens" in text
    if shutil.which("iverilog"):
        assert icarus(directory).stdout.startswith("PASS: 32 words compared, ")


def test_what_no_bench_can_be_of_is_one_sentence(tmp_path, capfd):
    asked = ["generate", "--preset", "test", "-o", str(tmp_path / "rtl")]
    assert main([*asked, "--bench", "mlp9", "--model", "synthetic"]) == 2
    said = capfd.readouterr().err
    assert said.startswith("python -m sim testbench: layer must be one of mlpN, ")
    assert not (tmp_path / "rtl").exists()
    assert main([*asked, "--model", "synthetic"]) == 2
    said = "python -m hw generate: --model is of a bench: ask for one with --bench\n"
    assert capfd.readouterr().err == said
