"""What a program did on a device: outputs, counters, spikes, and whether golden agrees."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from compiler.predict.cycles import CLOCK_MHZ
from golden.checkpoint.prompt import Prompt
from golden.model.integer import IntegerModel
from golden.numerics.fixed import from_fixed
from golden.numerics.neuron import Encoded
from golden.recipe.recipe import locate_site
from hw.contract.regs import COUNTERS, Error
from sim.check.expected import expect
from sim.check.verdict import judge
from sim.device import Device, Registers, Result
from sim.devices import Options, open_device
from sim.generate.one import memory_with
from sim.generate.text import difference, made_tokens, registers_of, text_ids
from sim.runs.energy import effort
from sim.runs.tally import Tally
from spikeloom.given import real
from spikeloom.spikes import Spikes
from spikeloom.table import Table

if TYPE_CHECKING:
    from spikeloom.program import Program

__all__ = ["Run", "of_layers", "of_model"]

_MEMORY = ("weights", "cache", "vectors")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Run:
    """One execution of a program; `Program.run` returns it.

    Attributes
    ----------
    program : Program
        What was executed.
    device : str
        On what.
    fixed : dict of str to ndarray
        Of layers, by matrix, the outputs as hardware holds them: Q15.16, (tokens, outputs) in
        int32.
    counters : dict of str to int or None
        What hardware counts (docs/regs.md); None where the device has no notion of it.
    spikes : dict of str to Spikes
        By site, what golden encodes there; empty unless the run is checked. That of a whole model
        has all tokens, the prompt's too, but ``head`` only those that a token is made of.
    energy : dict of str to float or None
        Joules by the ledger's groups (docs/energy.md); None where it has no constants.
    failures : list of str
        Where golden, or the functional device, differs from what the device did: a sentence each.
    checked : bool
        Whether golden computed the same.
    text : str or None
        Of a whole model, what it adds to the prompt.
    tokens : list of int
        The same as token ids.
    """

    program: "Program"
    device: str
    fixed: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    counters: dict[str, int | None]
    spikes: dict[str, Spikes]
    energy: dict[str, float] | None
    failures: list[str]
    checked: bool
    text: str | None = None
    tokens: list[int] = field(default_factory=list)

    @property
    def outputs(self) -> dict[str, NDArray[np.float64]]:
        """Of layers, by matrix, the outputs as real numbers, (tokens, outputs); exact."""
        return {name: from_fixed(torch.from_numpy(y)).numpy() for name, y in self.fixed.items()}

    @property
    def bit_exact(self) -> bool | None:
        """Whether every bit and count is golden's; None where that was not checked."""
        return not self.failures if self.checked else None

    @property
    def cycles(self) -> int | None:
        """Clock cycles from start to end; None on the functional device."""
        return self.counters["cycles"]

    def seconds(self, clock_hz: float) -> float:
        """Return how long it takes at a clock, in seconds.

        Raises
        ------
        ValueError
            Where the clock is not above 0, or the device has no notion of time.
        """
        if not real("clock_hz", clock_hz) > 0:
            raise ValueError(f"clock_hz must be above 0, not {clock_hz}")
        if self.cycles is None:
            raise ValueError(f"the {self.device} device counts no cycles: run it on cycle or rtl")
        return self.cycles / clock_hz

    def joules(self) -> Table:
        """Return the energy by what it goes to: counts times published constants (docs/energy.md).

        ``weights``, ``cache`` and ``vectors`` are what the memory takes; all else is on the chip.

        Raises
        ------
        ValueError
            Where the ledger has no constants for the hardware, such as a MAC array of 2 bits.
        """
        if self.energy is None:
            raise ValueError("the ledger has no constants for this hardware: see docs/energy.md")
        return Table(
            {"part": group, "memory": group in _MEMORY, "joules": joules}
            for group, joules in self.energy.items()
        )

    def table(self) -> Table:
        """Return the counters, with what each one counts."""
        return Table(
            {"counter": name, "value": self.counters[name], "counts": what}
            for name, what in COUNTERS.items()
        )

    def __repr__(self) -> str:
        """Return where it ran, how long, and whether golden agrees."""
        cycles = "no cycles counted" if self.cycles is None else f"{self.cycles:,} cycles"
        agrees = {None: "not checked", True: "bit-exact", False: "DIFFERS from golden"}
        return f"Run({self.device}, {cycles}, {agrees[self.bit_exact]})"


def of_layers(
    program: "Program",
    device: Device,
    tally: Tally,
    inputs: dict[str, NDArray[np.int32]],
    check: bool,
) -> Run:
    """Execute layers on vectors by their region, observed by `tally`; see `Program.run`."""
    files = program.files
    result = reference = device.run(files, inputs)
    if check or not device.observes:
        tally = Tally(files)
        functional = open_device("functional", files.params, Options(observe=tally))
        reference = functional.run(files, inputs)
    spikes: dict[str, Spikes] = {}
    failures: list[str] = []
    if result.error is not Error.NONE:
        failures = [f"the program ended on {device.name} with error {result.error.name}"]
    if check:
        expected = expect(program.model.prepared(program.recipe).linear, files, inputs)
        failures = judge(files, expected, reference, result, device.name).failures
        for site, values in expected.sites.items():
            layer, kind = locate_site(site)
            settings = program.recipe.site(layer, kind, values.counts.shape[1])
            spikes[site] = Spikes.of_fixed(
                values.counts, values.thresholds, settings.max_count, site, values.max_shift
            )
    return Run(
        program=program,
        device=device.name,
        fixed={name.removesuffix(".output"): y for name, y in result.outputs.items()},
        counters=result.counters,
        spikes=spikes,
        energy=_energy(program, result, tally, reference),
        failures=failures,
        checked=check,
    )


def of_model(
    program: "Program", device: Device, tally: Tally, prompt: Prompt, tokens: int, check: bool
) -> Run:
    """Let a whole model continue a text, observed by `tally`; see `Program.run`."""
    if tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {tokens}")
    files, checkpoint = program.files, program.model.checkpoint
    ids = text_ids(checkpoint, prompt, tokens, files.context)
    memory = memory_with(files, ids)
    words = files.token_words(memory)
    registers = registers_of(ids, checkpoint, tokens)
    result = device.execute(memory, files.program_address, files.params, registers)
    reference = result
    if not device.observes:
        tally = Tally(files)
        reference = _functional(program, tally, ids, registers)
    made = made_tokens(words, ids, result, checkpoint)
    failures: list[str] = []
    if result.error is not Error.NONE:
        failures = [f"the program ended on {device.name} with error {result.error.name}"]
    spikes: dict[str, Spikes] = {}
    if check:
        want, spikes = _golden(program, ids, tokens)
        failures += difference(want, made, len(ids), device.name)
    decode = checkpoint.tokenizer.decode
    return Run(
        program=program,
        device=device.name,
        counters=result.counters,
        spikes=spikes,
        energy=_energy(program, result, tally, reference),
        failures=failures,
        checked=check,
        text=decode([*ids, *made])[len(decode(ids)) :],
        tokens=made,
    )


def _functional(program: "Program", tally: Tally, ids: list[int], registers: Registers) -> Result:
    files = program.files
    device = open_device("functional", files.params, Options(observe=tally))
    return device.execute(memory_with(files, ids), files.program_address, files.params, registers)


def _energy(
    program: "Program", result: Result, tally: Tally, reference: Result
) -> dict[str, float] | None:
    """Return joules by the ledger's groups; `reference` is of the device that `tally` observed."""
    found: Any = effort(program.files, result.counters, tally, reference.counters, CLOCK_MHZ)
    return found["energy"] and found["energy"]["groups"]


def _golden(
    program: "Program", ids: Sequence[int], tokens: int
) -> tuple[list[int], dict[str, Spikes]]:
    """Return the tokens that golden makes, and what its sites encode on the way."""
    seen: dict[str, list[Encoded]] = {}

    def observe(site: str, encoded: Encoded, _there: object) -> None:
        if site.rpartition(".")[2] not in ("query", "probabilities"):  # a row a head, not a token
            seen.setdefault(site, []).append(encoded)

    checkpoint = program.model.prepared(program.recipe).checkpoint
    model = IntegerModel(checkpoint, program.recipe, observe_site=observe)
    made = model.generate(ids, tokens, checkpoint.tokenizer.eos_ids)
    return made, {site: Spikes.of_encoded(batches, site) for site, batches in seen.items()}
