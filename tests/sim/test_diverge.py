"""``python -m sim diverge``: a fault is named by instruction, tensor, token and element."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from compiler.artifact import manifest as manifests
from compiler.artifact.program import load as load_compiled
from compiler.programs.model import build_model
from golden.checkpoint.checkpoint import load
from golden.measure.profiling import record
from golden.numerics.codings import encode, time_steps_for
from golden.recipe.recipe import load_recipe
from hw.contract.isa import Opcode, VectorOp
from hw.contract.presets import preset
from sim.__main__ import main
from sim.device import Timing
from sim.diverge import saved
from sim.diverge.diverge import execute, outcome_of
from sim.diverge.explain import explain
from sim.diverge.locate import compare
from sim.diverge.program import of_model
from sim.diverge.sources import Replay
from sim.functional import arithmetic, vector
from sim.functional.device import Functional
from tests.compiler.models import RandomCheckpoint, recipe

PARAMS = preset("test")


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Return a small random model's program: five tokens of a prompt, three more."""
    changes = dict(qk_norm=True, qkv_bias=False)
    directory = tmp_path_factory.mktemp("diverge") / "m"
    checkpoint = RandomCheckpoint(7, **changes)
    compiled = build_model(checkpoint, directory, params=PARAMS, recipe=recipe(), context=40)
    return of_model(compiled, checkpoint, [5, 70, 3, 11, 29], 4)


def steps_of(program):
    return execute("functional", program, Timing())[1]


def found(program, a, b):
    """Return what the comparison of two records says, for a report."""
    _, steps = execute("functional", program, Timing())
    outcome = compare(steps, Replay(a), Replay(b), program.compiled.place_of)
    return explain(program.compiled, outcome.first), outcome


def test_devices_and_golden_agree_on_everything(story):
    outcome = outcome_of(story, ("cycle", "golden"), Timing())
    assert (outcome.first, outcome.beyond, outcome.hidden) == (None, None, 0)
    assert outcome.compared > 10_000
    assert outcome.instructions == len(steps_of(story))


def test_every_written_element_has_golden_s_name(story):
    names = {piece.tensor for step in steps_of(story) for piece in step.pieces}
    kinds = {name.split(".", 2)[-1] for name in names}
    assert {"scores", "w", "attention", "key", "value_scales", "query.counts", "residual"} <= kinds
    assert {"embed", "final_norm", "logits", "tokens", "head.counts", "layers.1.act"} <= names


@pytest.mark.parametrize(
    ("number", "kind"), [(0, "vector"), (400, "vector"), (-9, "vector"), (30, "codes")]
)
def test_a_changed_byte_is_found_where_it_was_written(story, rng, number, kind):
    """However often the memory is written again, and whatever comes later."""
    record, steps = execute("functional", story, Timing())
    steps = [s for s in steps if s.pieces and s.pieces[-1].kind == kind]
    step = steps[number % len(steps)]
    piece = step.pieces[-1]
    row, element = int(rng.integers(piece.rows)), int(rng.integers(piece.elements))
    byte = piece.byte_addresses()[row, element, -1]
    earlier = sum(
        int((p.byte_addresses() == byte).sum())
        for s in steps_of(story)[: step.number]
        for p in s.pieces
        if p.kind != "counts"
    )
    at = np.flatnonzero(record.addresses == byte)[earlier:]
    values = record.values.copy()
    values[at] ^= 0x10  # from there to the end
    first, _ = found(story, record, replace(record, values=values))
    assert (first["instruction"], first["slot"]) == (step.number, step.slot)
    assert (first["tensor"], first["row"], first["element"]) == (piece.tensor, row, element)
    assert (first["position"], first["layer"]) == (step.position, step.layer)
    assert first["differing"] == 1
    flipped = 0x10 << 8 * (piece.element_bytes - 1)
    assert int(first["a"]["hex"], 16) ^ int(first["b"]["hex"], 16) == flipped


def test_order_between_addresses_does_not_matter(story, rng):
    record, steps = execute("functional", story, Timing())
    order = rng.permutation(record.addresses.size)
    byte = np.argsort(record.addresses[order], kind="stable")
    # A random order of addresses, each with its own writings in order.
    shuffled = np.empty_like(order)
    shuffled[byte] = np.argsort(record.addresses, kind="stable")
    other = replace(record, addresses=record.addresses[shuffled], values=record.values[shuffled])
    outcome = compare(steps, Replay(record), Replay(other), story.compiled.place_of)
    assert outcome.first is None and outcome.beyond is None


def test_a_write_that_is_missing_and_one_too_many(story):
    record, steps = execute("functional", story, Timing())
    place = story.compiled.place_of
    last = [s for s in steps if s.opcode is Opcode.VECTOR][-1].pieces[0]
    assert last.tensor == "tokens"
    lost = record.addresses != last.address + 1
    less = replace(record, addresses=record.addresses[lost], values=record.values[lost])
    first, _ = found(story, record, less)
    assert (first["tensor"], first["kind"], first["b"]) == ("tokens", "token", None)
    more = replace(
        record,
        addresses=np.append(record.addresses, 4096),
        values=np.append(record.values, np.uint8(1)),
    )
    outcome = compare(steps, Replay(record), Replay(more), place)
    assert outcome.first is None
    assert outcome.beyond == (
        "B wrote 1 bytes more often than the program does, the first at tokens"
    )
    late = replace(record, end="ended at position 9 with error READ_FAILED")
    outcome = compare(steps, Replay(record), Replay(late), place)
    assert outcome.beyond == f"A {record.end}, B {late.end}"


@pytest.mark.parametrize("coding", ["unary", "csd"])
def test_a_count_names_the_time_step(seed, tmp_path, coding):
    checkpoint = RandomCheckpoint(seed, qkv_bias=False)
    compiled = build_model(
        checkpoint, tmp_path / "m", params=PARAMS, recipe=recipe(), coding=coding, context=20
    )
    program = of_model(compiled, checkpoint, [1, 2], 2)
    record, steps = execute("functional", program, Timing())
    step = next(s for s in steps if s.pieces and s.pieces[0].tensor == "layers.1.o.counts")
    counts = [n.copy() for n in record.counts]
    batch = step.batch - 1
    counts[batch][0, 5] += 1 if counts[batch][0, 5] < 127 else -1
    first, _ = found(program, record, replace(record, counts=counts))
    assert (first["instruction"], first["opcode"]) == (step.number, "ENCODE")
    assert (first["tensor"], first["element"]) == (step.pieces[0].tensor, 5)
    pair = np.array([record.counts[batch][0, 5], counts[batch][0, 5]])
    trains = encode(torch.from_numpy(pair)[:, None], coding, time_steps_for(127, coding))[..., 0].T
    assert first["time_step"] == int((trains[0] != trains[1]).nonzero()[0])
    assert first["trains"] == trains.tolist()


def test_a_broken_operation_is_found_against_golden(story, monkeypatch):
    right = vector.operate

    def wrong(operation, x, z, constant):
        y = right(operation, x, z, constant)
        if operation is VectorOp.SWIGLU:
            y = y.copy()
            y[-1] += 1
        return y

    monkeypatch.setattr(vector, "operate", wrong)
    outcome = outcome_of(story, ("functional", "golden"), Timing())
    first = explain(story.compiled, outcome.first)
    assert (first["position"], first["layer"], first["tensor"]) == (0, 0, "layers.0.act")
    assert (first["element"], first["channel"], first["differing"]) == (90, 90, 1)
    assert first["a"]["value"] == first["b"]["value"] + 1
    assert first["listing"].startswith("VECTOR  operation=swiglu rows=1 elements=91 ")


def test_a_broken_neuron_is_found_in_the_counts(story, monkeypatch):
    right = arithmetic.fire
    calls = iter(range(10**6))

    def wrong(x, v, max_count, dead_zone):
        n = right(x, v, max_count, dead_zone)
        if next(calls) == 60:
            n = n.copy()
            n[2] = 0 if n[2] else 1
        return n

    monkeypatch.setattr("sim.functional.machine.fire", wrong)
    outcome = outcome_of(story, ("functional", "golden"), Timing())
    first = explain(story.compiled, outcome.first)
    assert first["element"] == 2 and first["kind"] in ("counts", "codes")
    assert first["differing"] == 1


def test_pairs_are_in_the_checkpoint_s_order(story, monkeypatch):
    """The device has pairs side by side: its channel 1 is golden's 3 of a head of 6."""
    record, steps = execute("functional", story, Timing())
    step = next(s for s in steps if s.pieces and s.pieces[0].tensor == "layers.1.q_rotated")
    piece = step.pieces[0]
    address = piece.byte_addresses()[2, 1, 0]
    values = record.values.copy()
    values[np.flatnonzero(record.addresses == address)[1]] ^= 1
    first, _ = found(story, record, replace(record, values=values))
    assert (first["tensor"], first["head"], first["element"]) == ("layers.1.q_rotated", 2, 1)
    assert first["channel"] == 3


def test_a_profiled_model_whose_sites_have_codings_of_their_own(seed, tmp_path):
    checkpoint = RandomCheckpoint(seed, qkv_bias=False, hidden_size=40, ffn_size=56, head_dim=8)
    rng = np.random.default_rng(seed)
    windows = [rng.integers(0, checkpoint.config.vocab_size, 24).tolist() for _ in range(2)]
    profile = record(checkpoint, recipe(), windows, text=("a", "0" * 64), context=24)
    compiled = build_model(
        checkpoint,
        tmp_path / "m",
        params=PARAMS,
        recipe=recipe(),
        context=20,
        coding=None,
        profile=profile,
    )
    program = of_model(compiled, checkpoint, [1, 2, 3], 3)
    outcome = outcome_of(program, ("functional", "golden"), Timing())
    assert (outcome.first, outcome.beyond, outcome.hidden) == (None, None, 0)
    schedule = compiled.manifest["schedule"]
    written, steps = execute("functional", program, Timing())
    counts = [count.copy() for count in written.counts]
    batch, piece = next(
        (step.batch - 1, piece)
        for step in steps
        for piece in step.pieces
        if piece.tensor == "layers.1.query.counts"
    )
    counts[batch][0, 4] += 1 if counts[batch][0, 4] <= 0 else -1  # stays in range
    first, _ = found(program, written, replace(written, counts=counts))
    assert (first["tensor"], first["element"]) == (piece.tensor, 4)
    assert first["coding"] == schedule["codings"].get("layers.1.query", schedule["coding"])
    counts[batch][0, 4] = -128
    first, _ = found(program, written, replace(written, counts=counts))
    assert (first["element"], first["b"]["value"], first["trains"]) == (4, -128, None)


def test_every_tensor_is_called_as_golden_calls_it(story):
    """Of each slot; a loop's are of the layer that it is at."""
    compiled, seen = story.compiled, set()
    golden = story.golden()
    _, steps = execute("functional", story, Timing())
    for step in steps:
        for piece in step.pieces:
            kind = "token" if piece.tensor == "tokens" else piece.kind
            assert (kind == "token") == (piece.kind == "token")
            # A prompt's next tokens are its own, and golden makes no head for them.
            if golden.take(step, piece) is None:
                assert step.position < len(story.ids) - 1, piece.tensor
            seen.add(piece.tensor)
    layers = compiled.manifest["model"]["layers"]
    for kind in ("q", "query.counts", "scores", "w", "attention", "key", "value_scales", "act"):
        assert {f"layers.{layer}.{kind}" for layer in range(layers)} <= seen
    assert {"embed", "final_norm", "head.counts", "logits", "tokens"} <= seen


def test_a_directory_without_names_is_refused(story, tmp_path):
    shutil.copytree(story.compiled.directory, tmp_path / "m")
    manifest = {k: v for k, v in story.compiled.manifest.items() if k != "tensors"}
    manifests.write(manifest, tmp_path / "m")
    older = replace(story, compiled=load_compiled(tmp_path / "m"))
    with pytest.raises(ValueError) as error:
        outcome_of(older, ("functional", "golden"), Timing())
    assert str(error.value) == (
        f"{tmp_path / 'm'} does not name its tensors, as an earlier version compiled it: build the "
        "model again"
    )


def test_a_memory_image_shows_the_first_that_stands(story, tmp_path):
    memory, compiled = story.memory(), story.compiled
    Functional().execute(memory, compiled.program_address, PARAMS, story.registers)
    values = compiled.regions["layers.1.values"]
    path = tmp_path / "board.bin"
    memory.tofile(path)
    sides = ("functional", str(path))
    assert outcome_of(story, sides, Timing()).first is None
    row = PARAMS.row_bytes(6, 8)
    memory[values.address + 3 * row + 4] ^= 1  # head 0, position 3
    memory.tofile(path)
    first = explain(compiled, outcome_of(story, sides, Timing()).first)
    assert (first["tensor"], first["position"], first["head"], first["element"]) == (
        "layers.1.value", 3, 0, 4,
    )  # fmt: skip
    assert compiled.region_at(first["address"]).name == "layers.1.values"
    kept = {
        region.name: memory[region.address : region.address + region.bytes]
        for region in compiled.regions.values()
        if region.kind == "cache"
    }
    np.savez(tmp_path / "board.npz", **kept)
    of_regions = outcome_of(story, ("functional", str(tmp_path / "board.npz")), Timing())
    assert explain(compiled, of_regions.first)["address"] == first["address"]


def run(*arguments):
    try:
        return main(["diverge", *map(str, arguments)])
    except SystemExit as end:
        return end.code


@pytest.fixture
def stories(stories260k, tmp_path):
    return ("--model", "stories260k", "--preset", "test", "-o", tmp_path / "out")


def test_the_command(stories, tmp_path, capsys, monkeypatch):
    kept = tmp_path / "kept"
    assert run("functional", "golden", *stories, "--save", kept) == 0
    assert "A functional, B golden: no difference" in capsys.readouterr().out
    right = vector.operate
    monkeypatch.setattr(vector, "operate", lambda op, *x: right(op, *x) ^ (op is VectorOp.SOFTMAX))
    assert run("functional", kept / "functional.npz", *stories) == 1
    told = capsys.readouterr().out
    assert "first difference: position 0 (token 1), layer 0, instruction " in told
    assert "layers.0.w (region w.0): element 0, head 0" in told
    assert run("functional", kept / "functional.npz", *stories, "--json") == 1
    made = json.loads(capsys.readouterr().out)
    assert made == json.loads((tmp_path / "out" / "diverge.json").read_text())
    assert (made["same"], made["first"]["opcode"]) == (False, "VECTOR")


def test_a_layer(stories, capsys):
    assert run("functional", "golden", *stories, "--layer", "attn1") == 0
    assert "no difference" in capsys.readouterr().out


def test_bad_requests(stories, tmp_path, capsys):
    kept, other = tmp_path / "kept", tmp_path / "image"
    assert run("functional", "golden", *stories, "--save", kept) == 0
    other.write_bytes(b"12")
    capsys.readouterr()
    functional = kept / "functional.npz"

    def refusal(*arguments):
        assert run(*arguments) == 2
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.count("\n") == 1
        return printed.err.partition(": ")[2].rstrip("\n")

    assert refusal("functional", "board", *stories) == (
        "'board' is neither a device (rtl, cycle, functional, golden) nor the file of a run"
    )
    assert refusal("functional", functional, *stories, "--tokens", 2).endswith(
        "is a run of another start: compare runs of the same program, prompt and number of tokens"
    )
    assert "bytes of memory, not of 2" in refusal("functional", other, *stories)
    np.savez(kept / "board.npz", q=np.zeros(3, np.uint8), y=np.zeros(1))
    assert "region q must have" in refusal("functional", kept / "board.npz", *stories)
    functional.write_bytes(functional.read_bytes()[:-90])
    assert "must be an npz file" in refusal("functional", functional, *stories)


def test_a_damaged_run_is_refused(story, tmp_path):
    path, about = tmp_path / "run.npz", story.about()
    wrote, _ = execute("functional", story, Timing())
    saved.save(wrote, about, path)
    assert np.array_equal(saved.load(path, story.compiled, about).record.values, wrote.values)
    twice = np.append(wrote.addresses, wrote.addresses[:1])
    changes = (
        {"addresses": twice, "values": np.append(wrote.values, wrote.values[:1])},
        {"addresses": twice},
        {"addresses": wrote.addresses + story.compiled.memory_bytes},
        {"addresses": wrote.addresses - story.compiled.memory_bytes},
        {"addresses": wrote.addresses.astype(float)},
        {"values": wrote.values.astype(np.int64)},
        {"values": wrote.values ^ 1},
        {"counts0": np.zeros(3, np.int8)},
    )
    with np.load(path) as archive:
        arrays = dict(archive)
    for change in changes:
        np.savez(path, **(arrays | change))
        with pytest.raises(ValueError, match="holds no run of sim diverge: save it again"):
            saved.load(path, story.compiled, about)


def test_names_of_llama_are_whole(stories260k, tmp_path):
    """Another model than the random one: no norms of queries, more layers than two."""
    checkpoint = load(stories260k)
    compiled = build_model(
        checkpoint, tmp_path / "m", params=PARAMS, recipe=load_recipe("w8"), context=12
    )
    program = of_model(compiled, checkpoint, [1, 403, 407], 3)
    outcome = outcome_of(program, ("functional", "golden"), Timing())
    assert (outcome.first, outcome.beyond, outcome.hidden) == (None, None, 0)
