"""A model compiled by a measured profile: cycles predicted and simulated."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.reports import OUTPUT_ROOT
from bench.text import TEXT
from compiler.artifact.program import Compiled
from compiler.passes.model import lower
from compiler.passes.program import image_of_model
from compiler.predict.measured import predicted_cycles
from compiler.programs.model import build_model
from golden.checkpoint.checkpoint import Checkpoint, load
from golden.console.errors import ProfileError
from golden.console.places import SOURCES
from golden.measure.profile import Profile
from golden.measure.profile_file import load_profile, save_profile
from golden.measure.profiling import record
from golden.model.prepare import grids
from golden.recipe.recipe import Recipe, load_recipe
from hw.contract import isa
from hw.contract.isa import Opcode
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.cycle.device import Cycle
from sim.device import Registers, Timing
from sim.functional.device import Functional
from sim.rtl.device import Rtl

__all__ = ["RECIPES", "measure"]

RECIPES = ("w8", str(SOURCES / "bench" / "recipes" / "smollm2-silent40.toml"))
"""The usual one, and one that silences two fifths of every site's channels."""
_COUNTED = ("cycles", "read_bursts", "dram_bytes_read", "row_segments")


@dataclass(frozen=True, kw_only=True)
class _Text:
    """Tokens, and where they are from."""

    ids: list[int]
    name: str
    sha256: str


def measure(
    *,
    model: str = "smollm2-135m",
    preset_name: str = "edge",
    recipes: Sequence[str] = RECIPES,
    text: Path = TEXT,
    tokens: int = 1024,
    context: int = 256,
    position: int = 64,
    judged: int = 2,
    rtl_layers: int = 2,
    latency: int = 60,
    profiles: Path = OUTPUT_ROOT / "profiles",
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Profile a model on a text's beginning, compile it so, and run tokens of the rest.

    Parameters
    ----------
    model, preset_name : str
        What runs on what.
    recipes : sequence of str
        How the model becomes spike-driven.
    text : Path
        A text.
    tokens, context : int
        Of the text that are profiled, in windows of at most so many.
    position : int
        Of the tokens that are run, each in a window of its own after those.
    judged : int
        How many tokens are run; the first layer by layer.
    rtl_layers : int
        Layers of the first token that are run on the RTL too.
    latency : int
        Of the memory, in cycles.
    profiles : Path
        Where profiles are kept for the next time.
    say : callable
        Is told what is being done.

    Raises
    ------
    RuntimeError
        Where the RTL counts other than the cycle device.
    """
    checkpoint, params = load(model), preset(preset_name)
    read = _read(checkpoint, text)
    length = position + 2
    if len(read.ids) < tokens + judged * length:
        raise ValueError(f"the text must have {tokens + judged * length} tokens at least")
    parts = [read.ids[at : at + length] for at in _starts(read.ids, tokens, length, judged)]
    found = []
    for name in recipes:
        recipe = load_recipe(name)
        say(f"{recipe.name}: profile")
        profile = _profile(checkpoint, recipe, read, tokens, context, profiles)
        with tempfile.TemporaryDirectory(prefix="spikeloom-") as scratch:
            say(f"{Path(name).stem}: compiling")
            compiled = build_model(
                checkpoint,
                Path(scratch) / "compiled",
                params=params,
                recipe=recipe,
                context=length + 1,
                profile=profile,
            )
            tell = lambda doing, of=Path(name).stem: say(f"{of}: {doing}")  # noqa: E731
            simulated = _run(compiled, parts, position, latency, rtl_layers, tell)
            schedule = compiled.manifest["schedule"]
        lowered = lower(checkpoint.config, recipe, params, length + 1, grids(checkpoint, recipe))
        codings = {
            site: schedule["codings"].get(site, schedule["coding"]) for site in profile.sites
        }
        program = image_of_model(lowered, params, codings).program
        predicted = predicted_cycles(profile, program, params, position, latency)
        found.append(
            {
                "recipe": Path(name).stem,
                "predicted": predicted,
                "schedule": schedule,
                "silent": {name: site.silent for name, site in profile.sites.items()},
                "simulated": simulated,
            }
        )
    return {
        "model": model,
        "preset": preset_name,
        "text": read.name,
        "profiled_tokens": tokens,
        "position": position,
        "judged": judged,
        "rtl_layers": rtl_layers,
        "latency": latency,
        "params": params.as_dict(),
        "recipes": found,
    }


def _read(checkpoint: Checkpoint, text: Path) -> _Text:
    content = text.read_text(encoding="utf-8")
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    return _Text(ids=checkpoint.tokenizer.encode(content), name=text.name, sha256=sha256)


def _starts(ids: Sequence[int], first: int, length: int, count: int) -> list[int]:
    """Return where `count` windows begin, evenly spread over the tokens from `first` on."""
    room = len(ids) - length - first
    return [first + room * at // max(1, count - 1) for at in range(count)]


def _profile(
    checkpoint: Checkpoint, recipe: Recipe, text: _Text, tokens: int, context: int, kept: Path
) -> Profile:
    """Return the profile that an earlier run kept, or record it."""
    path = kept / f"{checkpoint.config.name}-{Path(recipe.name).stem}.npz".replace("/", "_")
    try:
        profile = load_profile(path)
        profile.identity.require(checkpoint, recipe)
        of = profile.identity
        if (of.text_sha256, of.tokens, of.context) == (text.sha256, tokens, context):
            return profile
    except ProfileError:
        pass
    ids = text.ids[:tokens]
    windows = [ids[at : at + context] for at in range(0, tokens, context)]
    profile = record(checkpoint, recipe, windows, text=(text.name, text.sha256), context=context)
    kept.mkdir(parents=True, exist_ok=True)
    save_profile(profile, path)
    return profile


def _run(
    compiled: Compiled,
    parts: Sequence[Sequence[int]],
    position: int,
    latency: int,
    rtl_layers: int,
    say: Callable[[str], None],
) -> dict[str, object]:
    """Run the token at `position` of each part, of the first layer by layer."""
    timing = Timing(latency=latency)
    layers = compiled.manifest["model"]["layers"]
    up_to: list[dict[str, int]] = []
    totals = []
    for number, ids in enumerate(parts):
        say(f"functional device up to position {position} of text {number + 1}")
        memory = compiled.image({})
        words = compiled.token_words(memory)
        words[: len(ids)] = ids
        prompt = Registers(prompt_end=position + 2, end_position=position)
        _execute(Functional(), compiled, memory, prompt)
        if number == 0:
            for count in range(1, layers + 1):
                say(f"cycle device, {count} layers")
                up_to.append(_cut(Cycle(timing=timing), compiled, memory, position, count))
                if count <= rtl_layers:
                    say(f"RTL, {count} layers")
                    rtl = _cut(Rtl(timing=timing), compiled, memory, position, count)
                    for name in ("cycles", "read_bursts", "dram_bytes_read"):
                        if rtl[name] != up_to[-1][name]:
                            raise RuntimeError(
                                f"the RTL counts {rtl[name]} {name} in {count} layers, the cycle "
                                f"device {up_to[-1][name]}"
                            )
        say(f"cycle device, the whole token of text {number + 1}")
        whole = Registers(
            first_position=position, prompt_end=position + 1, end_position=position + 1
        )
        totals.append(_execute(Cycle(timing=timing), compiled, memory, whole))
    before = [dict.fromkeys(_COUNTED, 0), *up_to]
    each = [
        {name: b[name] - a[name] for name in _COUNTED}
        for a, b in zip(before, before[1:], strict=False)
    ]
    head = {name: totals[0][name] - up_to[-1][name] for name in _COUNTED}
    return {"layers": each, "head": head, "totals": totals}


def _cut(
    device, compiled: Compiled, memory: np.ndarray, position: int, layers: int
) -> dict[str, int]:
    """Run a token through its first `layers` layers, without head; `memory` stays as it is."""
    memory = memory.copy()
    for index, (opcode, fields) in enumerate(compiled.instructions()):
        if opcode is Opcode.LAYERS:
            records = fields["record_count"] // fields["layers"] * layers
            cut = {**fields, "layers": layers, "record_count": records}
            raw = isa.assemble(opcode, **cut)
            at = compiled.program_address + isa.HEADER.size // 8 + index * isa.SLOT_BYTES
            memory[at : at + isa.SLOT_BYTES] = np.frombuffer(raw, np.uint8)
    registers = Registers(
        first_position=position, prompt_end=position + 2, end_position=position + 1
    )
    return _execute(device, compiled, memory, registers)


def _execute(
    device, compiled: Compiled, memory: np.ndarray, registers: Registers
) -> Mapping[str, int]:
    finished = device.execute(
        memory, compiled.program_address, compiled.params, registers, lambda *_: None
    )
    if finished.error is not Error.NONE:
        raise RuntimeError(f"the {device.name} device ended with {finished.error.name}")
    return {name: finished.counters[name] for name in _COUNTED}
