"""Continues a text on several devices, and on one beside them for the same bits."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from compiler.artifact import manifest as manifests
from compiler.artifact.program import Compiled
from compiler.passes.model import lower
from compiler.passes.shard import shards
from compiler.programs.devices import CompiledDevices, load_devices
from golden.checkpoint.checkpoint import Checkpoint
from golden.model.integer import IntegerModel
from golden.model.prepare import prepare
from golden.recipe.recipe import load_recipe
from hw.contract.params import HwParams
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.check import cases, report
from sim.check.activations import default_prompt
from sim.check.recipe import recipe_of
from sim.check.run import OUTPUT_ROOT, Clock, preset_name
from sim.device import Device, Registers, Result, no_counts
from sim.devices import Options, open_device, require_device
from sim.errors import HardwareFault
from sim.generate.generate import report_of
from sim.generate.text import Text, difference, made_tokens, registers_of, text_ids
from sim.generate.whole import GenerateRequest, compiled_devices, compiled_model
from sim.scale.compare import differences
from sim.scale.link import Interconnect
from sim.scale.run import Progress, execute

__all__ = ["generate", "wanted"]

DEVICES = ("functional", "cycle")


@dataclass(frozen=True, kw_only=True)
class _Compiled:
    """What is run: the devices' shares, and the whole for one device unless there is none."""

    several: CompiledDevices
    one: Compiled | None
    checkpoint: Checkpoint
    directory: Path

    @property
    def shards(self) -> list[Compiled]:
        return self.several.shards


@dataclass(frozen=True, kw_only=True)
class _One:
    """What one device did."""

    memory: np.ndarray
    finished: Result


def wanted(request: GenerateRequest) -> bool:
    """Return whether a request is for several devices."""
    if request.compiled is not None:
        return manifests.read(request.compiled)["kind"] == "devices"
    return request.devices != 1


def generate(
    request: GenerateRequest,
    *,
    say: Callable[[str], None] = lambda _doing: None,
    write: Callable[[str], None] = lambda _text: None,
) -> tuple[dict[str, object], Path]:
    """Generate what is asked for on several devices; parameters as for one.

    One device does the same in the same run: tokens, keys, values and the last vectors must be
    the same, and its cycles are what the speed-up is against. It is left out where a directory
    for several is given, in which there is no program for one.
    """
    _check(request)
    clock = Clock()
    with ExitStack() as until_the_end:
        with clock.part("compile"):
            compiled = _compiled(request, say, until_the_end)
        checkpoint, shards_ = compiled.checkpoint, compiled.shards
        name = checkpoint.config.name
        prompt = default_prompt(name) if request.prompt is None else request.prompt
        ids = text_ids(checkpoint, prompt, request.tokens, shards_[0].context)
        path = compiled.directory / "report.json"
        path.unlink(missing_ok=True)  # an older run's report must not stand for this one
        registers = registers_of(ids, checkpoint, request.tokens)
        say(f"{len(shards_)} devices, {request.device}")
        text = Text(checkpoint=checkpoint, write=write, ids=list(ids), prompt_end=len(ids))
        text.begin()
        memories = [_memory(shard, ids) for shard in shards_]
        interconnect = Interconnect(shards_, memories, request.link)
        progress, one, failures = None, None, []
        try:
            with clock.part("generate"):
                progress = execute(
                    shards_,
                    memories,
                    registers,
                    interconnect,
                    lambda start: _device(request, shards_[0].params, start),
                    text.take,
                )
            if compiled.one is not None:
                say("one device")
                with clock.part("one"):
                    one = _run_one(request, compiled.one, ids, registers)
        except HardwareFault as fault:
            failures.append(str(fault))
        finished = None if progress is None else _finished(progress)
        made = []
        if finished is not None:
            made = made_tokens(shards_[0].token_words(memories[0]), ids, finished, checkpoint)
            if progress.error is not Error.NONE:
                failures.append(
                    f"{progress.where} ended at position {progress.position} with error "
                    f"{progress.error.name}"
                )
        if one is not None and progress.error is Error.NONE:
            failures += differences(compiled.one, one.memory, shards_, memories)
        if request.check and finished is not None:
            say("golden model")
            with clock.part("golden"):
                recipe = recipe_of(shards_[0])
                model = IntegerModel(prepare(checkpoint, recipe), recipe)
                want = model.generate(ids, request.tokens, checkpoint.tokenizer.eos_ids)
            failures += difference(want, made, len(ids), f"{len(shards_)} devices")
        whole = report_of(
            request, shards_[0], checkpoint, prompt, ids, made, finished, failures, clock.seconds
        )
        whole |= _scale_out(compiled, interconnect, progress, one, request)
        report.write(whole, path)
    return whole, path


def _check(request: GenerateRequest) -> None:
    require_device(
        request.device,
        DEVICES,
        where=" where several share a model",
        why=": there is no RTL of what connects them",
    )
    if request.tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {request.tokens}")


def _compiled(
    request: GenerateRequest, say: Callable[[str], None], until_the_end: ExitStack
) -> _Compiled:
    if request.compiled is not None:
        hardware = preset(request.preset) if request.preset else None
        several = load_devices(request.compiled, hardware)
        checkpoint = cases.checkpoint_of(several.shards[0], request.model, say)
        for shard in several.shards[1:]:
            cases.require_weights(shard, checkpoint)
        params = several.shards[0].params
        kind = preset_name(params) or several.manifest["fingerprint"][:12]
        place = OUTPUT_ROOT / cases.file_name(checkpoint.config.name) / f"all-{kind}"
        directory = request.output or place
        return _Compiled(several=several, one=None, checkpoint=checkpoint, directory=directory)
    checkpoint = cases.load_checkpoint(request.model or "smollm2-135m", say)
    params = preset(request.preset or "edge")
    lower(checkpoint.config, load_recipe(request.recipe), params, request.context)
    shards(checkpoint.config, params, request.devices)  # refuses before anything is made
    one, checkpoint, directory = compiled_model(request, say, until_the_end)
    several = compiled_devices(request, checkpoint, directory, say)
    return _Compiled(several=several, one=one, checkpoint=checkpoint, directory=directory)


def _memory(compiled: Compiled, ids: list[int]) -> np.ndarray:
    """Return the memory before the start, with the prompt."""
    memory = compiled.image({})
    compiled.token_words(memory)[: len(ids)] = ids
    return memory


def _device(request: GenerateRequest, params: HwParams, start: int) -> Device:
    """Return a device for one start; random stalls are others in each."""
    timing = replace(request.timing, seed=request.timing.seed + start)
    return open_device(request.device, params, Options(timing=timing))


def _run_one(
    request: GenerateRequest, compiled: Compiled, ids: list[int], registers: Registers
) -> _One:
    memory = _memory(compiled, ids)
    finished = _device(request, compiled.params, 0).execute(
        memory, compiled.program_address, compiled.params, registers, lambda _at, _token: None
    )
    return _One(memory=memory, finished=finished)


def _finished(progress: Progress) -> Result:
    """Return the devices' end as one device's, with the sums of their counters."""
    counters = no_counts()
    for own in progress.counters:
        for name, value in own.items():
            if value is not None:
                counters[name] = (counters[name] or 0) + value
    return Result(counters=counters, error=progress.error, position=progress.position)


def _scale_out(
    compiled: _Compiled,
    interconnect: Interconnect,
    progress: Progress | None,
    one: _One | None,
    request: GenerateRequest,
) -> dict[str, object]:
    """Return what the report says of several devices, and what it says otherwise than of one."""
    positions = progress.position if progress else 0

    def each(total: int | None) -> float | None:
        return round(total / positions, 1) if total is not None and positions else None

    own = progress.counters if progress else [no_counts() for _ in compiled.shards]
    waits = None  # no device to know cycles of
    if progress is not None and progress.cycles is not None:
        waits = progress.cycles + interconnect.cycles
    single = one.finished.counters["cycles"] if one else None
    return {
        "memory_bytes": max(shard.memory_bytes for shard in compiled.shards),
        "cycles_per_position": each(waits),
        "scale_out": {
            "devices": len(compiled.shards),
            "link": asdict(request.link),
            "shards": [
                {
                    **_bytes(shard),
                    "kv_heads": len(shard.part("kv_heads")),
                    "cycles_per_position": each(counters["cycles"]),
                    "counters": counters,
                }
                for shard, counters in zip(compiled.shards, own, strict=True)
            ],
            "exchange": {
                "exchanges": interconnect.count,
                "bytes_received": interconnect.received,
                "bytes_per_position": each(sum(interconnect.received)),
                "cycles_per_position": each(interconnect.cycles) if waits is not None else None,
            },
            "device_cycles_per_position": each(progress.cycles) if progress else None,
            "one": None
            if one is None
            else {
                **_bytes(compiled.one),
                "cycles_per_position": each(single),
                "counters": one.finished.counters,
            },
            "speed_up": round(single / waits, 3) if single and waits else None,
        },
    }


def _bytes(compiled: Compiled) -> dict[str, int]:
    names = ("memory_bytes", "image_bytes", "weight_bytes")
    return {name: getattr(compiled, name) for name in names}
