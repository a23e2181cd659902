"""A whole model on several devices, and on one beside them for the same bits."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace

from compiler.artifact import manifest as manifests
from compiler.artifact.program import Compiled
from compiler.passes.model import lower
from compiler.passes.shard import shards
from compiler.programs.devices import load_devices
from golden.model.prepare import grids
from golden.recipe.recipe import load_recipe
from hw.contract.params import HwParams
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.check.origin import checkpoint_of, load_checkpoint, require_weights
from sim.device import Device, Result, no_counts
from sim.devices import Options, open_device, require_device
from sim.errors import HardwareFault
from sim.generate.compiled import Opened, compiled_devices, compiled_model, take_place
from sim.generate.one import memory_with
from sim.generate.outcome import Outcome, Run
from sim.generate.request import MODEL, PRESET, GenerateRequest
from sim.runs.tally import Tally
from sim.scale.compare import differences
from sim.scale.host import Progress, execute
from sim.scale.link import Interconnect

__all__ = ["DEVICES", "SeveralDevices", "wanted"]

DEVICES = ("functional", "cycle")
"""Those of which several can share a model."""


def wanted(request: GenerateRequest) -> bool:
    """Return whether a request is for several devices."""
    if request.compiled is not None:
        return manifests.read(request.compiled)["kind"] == "devices"
    return request.devices != 1


class SeveralDevices:
    """Several devices that share a whole model; parameters as of `sim.generate.one.OneDevice`.

    One device does the same in the same run: tokens, keys, values and the last vectors must be
    the same, and its cycles are what the speed-up is against. It is left out where a directory
    for several is given, in which there is no program for one.

    Attributes
    ----------
    opened : Opened
        The first device's share.
    label : str
        What runs, for people.
    """

    def __init__(
        self, request: GenerateRequest, say: Callable[[str], None], until_the_end: ExitStack
    ) -> None:
        require_device(
            request.device,
            DEVICES,
            where=" where several share a model",
            why=": there is no RTL of what connects them",
        )
        self._request = request
        self._one: Compiled | None = None
        if request.compiled is not None:
            hardware = preset(request.preset) if request.preset else None
            self._shards = load_devices(request.compiled, hardware).shards
            checkpoint = checkpoint_of(self._shards[0], request.model, say)
            for shard in self._shards[1:]:
                require_weights(shard, checkpoint)
            first = self._shards[0]
            runner = f"{request.device}-x{len(self._shards)}"
            self.opened = Opened(
                compiled=first,
                checkpoint=checkpoint,
                place=take_place(request, first, checkpoint, runner, until_the_end),
                home=request.compiled.parent,
            )
        else:
            checkpoint = load_checkpoint(request.model or MODEL, say)
            params = preset(request.preset or PRESET)
            recipe = load_recipe(request.recipe)
            found = grids(checkpoint, recipe)
            lower(checkpoint.config, recipe, params, request.context, found)
            shards(checkpoint.config, params, request.devices)  # refuses before anything is made
            runner = f"{request.device}-x{request.devices}"
            opened = compiled_model(request, runner, say, until_the_end)
            self._one = opened.compiled
            self._shards = compiled_devices(request, opened, say).shards
            self.opened = replace(opened, compiled=self._shards[0])
        self.label = f"{len(self._shards)} devices"

    def run(self, run: Run) -> Outcome:
        """Run the programs, and the whole on one device."""
        request, parts = self._request, self._shards
        tallies = [Tally(shard) for shard in parts]
        memories = [memory_with(shard, run.ids) for shard in parts]
        interconnect = Interconnect(parts, memories, request.link)
        progress, single, failures = None, None, []
        run.say(f"{self.label}, {request.device}")
        try:
            with run.clock.part("generate"):
                progress = execute(
                    parts,
                    memories,
                    run.registers,
                    interconnect,
                    lambda start, at: self._device(start, tallies[at]),
                    run.text.take,
                )
            if self._one is not None:
                run.say("one device")
                memory = memory_with(self._one, run.ids)
                device = self._device(0, None)
                with run.clock.part("one"):
                    single = device.execute(
                        memory, self._one.program_address, self._one.params, run.registers
                    )
                if progress.error is Error.NONE:
                    failures += differences(self._one, memory, parts, memories)
        except HardwareFault as fault:
            failures.append(str(fault))
        result = None if progress is None else _as_one(progress)
        if progress is not None and progress.error is not Error.NONE:
            failures.insert(
                0,
                f"{progress.where} ended at position {progress.position} with error "
                f"{progress.error.name}",
            )
        return Outcome(
            result=result,
            words=parts[0].token_words(memories[0]),
            failures=failures,
            tally=Tally.total(tallies),
            tallied=result.counters if result else {},
            more=self._scale_out(interconnect, progress, single),
        )

    def _device(self, start: int, tally: Tally | None) -> Device:
        """Return a device for one start; random stalls are others in each."""
        timing = self._request.timing
        options = Options(timing=replace(timing, seed=timing.seed + start), observe=tally)
        return open_device(self._request.device, self._params, options)

    @property
    def _params(self) -> HwParams:
        return self._shards[0].params

    def _scale_out(
        self, interconnect: Interconnect, progress: Progress | None, single: Result | None
    ) -> dict[str, object]:
        """Return what the report says of several devices, and what otherwise than of one."""
        positions = progress.position if progress else 0

        def each(total: int | None) -> float | None:
            return round(total / positions, 1) if total is not None and positions else None

        own = progress.counters if progress else [no_counts() for _ in self._shards]
        waits = None  # no device to know cycles of
        if progress is not None and progress.cycles is not None:
            waits = progress.cycles + interconnect.cycles
        cycles = single.counters["cycles"] if single else None
        one = None
        if single is not None and self._one is not None:
            one = {
                **_bytes(self._one),
                "cycles_per_position": each(cycles),
                "counters": single.counters,
            }
        return {
            "memory_bytes": max(shard.memory_bytes for shard in self._shards),
            "cycles_per_position": each(waits),
            "scale_out": {
                "devices": len(self._shards),
                "link": asdict(self._request.link),
                "shards": [
                    {
                        **_bytes(shard),
                        "kv_heads": len(shard.part("kv_heads")),
                        "cycles_per_position": each(counters["cycles"]),
                        "counters": counters,
                    }
                    for shard, counters in zip(self._shards, own, strict=True)
                ],
                "exchange": {
                    "exchanges": interconnect.count,
                    "bytes_received": interconnect.received,
                    "bytes_per_position": each(sum(interconnect.received)),
                    "cycles_per_position": None if waits is None else each(interconnect.cycles),
                },
                "device_cycles_per_position": each(progress.cycles) if progress else None,
                "one": one,
                "speed_up": round(cycles / waits, 3) if cycles and waits else None,
            },
        }


def _as_one(progress: Progress) -> Result:
    """Return the devices' end as one device's, with the sums of their counters."""
    counters = no_counts()
    for own in progress.counters:
        for name, value in own.items():
            if value is not None:
                counters[name] = (counters[name] or 0) + value
    return Result(counters=counters, error=progress.error, position=progress.position)


def _bytes(compiled: Compiled) -> dict[str, int]:
    names = ("memory_bytes", "image_bytes", "weight_bytes")
    return {name: getattr(compiled, name) for name in names}
