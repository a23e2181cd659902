"""Faults put into the hardware on purpose: of each, a proof must find a run that breaks a claim."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    proof : str
        Name of the proof that must see it.
    file : str
        The file of `hw`.
    old, new : str
        Text that occurs once in the file, and what takes its place.
    full : bool
        Whether looking for it is left to the full tests.
    """

    proof: str
    file: str
    old: str
    new: str
    full: bool = False

    def apply(self, folder: Path) -> None:
        """Put it into the copy of `hw` in `folder`; raises ValueError if the text is not there."""
        path = folder / self.file
        text = path.read_text()
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.file} must hold {self.old!r} once, not {found} times")
        path.write_text(text.replace(self.old, self.new))


def _of(proof: str, file: str, *texts: tuple[str, str], full: bool = False) -> list[Fault]:
    return [Fault(proof, file, old, new, full) for old, new in texts]


_FREE = "(~self.o.valid | self.o.ready)"
_PAGE_END = ("ends_page.eq(", "ends_page.eq(0 & ")

FAULTS: list[Fault] = [
    *_of(
        "queue", "common/stream.py", ("queue.r_en.eq(self.o.ready)", "queue.r_en.eq(self.o.valid)")
    ),
    *_of(
        "bursts", "common/stream.py", ("with m.If(~self.o.valid | self.o.ready):", "with m.If(1):")
    ),
    *_of("burst words", "memory/bursts.py", ("complete & leaving.i.ready", "complete")),
    *_of(
        "fetcher",
        "matmul/fetch.py",
        ("placed.end | ~offered | both)", "placed.end | ~offered | self.o.ready)"),
    ),
    *_of(
        "beats",
        "matmul/beats.py",
        ("~complete | ~self.o.valid | self.o.ready", "1"),
        ("Mux(row.scales, self.o_scales.ready,", "Mux(row.scales, 1,"),
    ),
    *_of(
        "spike train", "spike/train.py", (f"self.i_coding.valid & {_FREE}", "self.i_coding.valid")
    ),
    *_of(
        "sequencer",
        "matmul/sequencer.py",
        ("finished.half.eq(half)", "finished.half.eq(self.release)"),
    ),
    *_of(
        "channel words",
        "matmul/channel_words.py",
        (
            "valid.eq(~self.loaded.bit_select(half, 1))",
            "valid.eq(~self.release.bit_select(half, 1))",
        ),
        ("read_biases.en.eq(self.enable)", "read_biases.en.eq(1)"),
    ),
    *_of(
        "drain",
        "matmul/drain.py",
        ("with m.If(self.o_row.ready):", "with m.If(self.o_row.valid):"),
        ("moves = ~self.o.valid | self.o.ready", "moves = self.o.valid | ~self.o.valid"),
    ),
    *_of("requantizer", "matmul/requant.py", (f"move.eq{_FREE}", "move.eq(1)")),
    *_of(
        "threshold", "spike/threshold.py", ("with m.If(self.o.ready):", "with m.If(self.o.valid):")
    ),
    *_of(
        "encoder",
        "spike/encoder.py",
        ("self.busy & (requested != site.tokens)", "self.busy & ~self.i_words.valid"),
    ),
    *_of("encoder", "spike/encoder.py", ("read.en.eq(reads)", "read.en.eq(1)")),
    *_of("encoder", "spike/encoder.py", ("& ~(1 << self.bank))", ")"), full=True),
    *_of(
        "controller",
        "control/controller.py",
        ("out.valid.eq(~fenced)", "out.valid.eq(1)"),
        ("slot_words, layers.record_count)", "slot_words, layers.record_count >> 1)"),
        ("~fenced & ~self.bank_busy.bit_select(self.bank, 1)", "~fenced"),
    ),
    *_of(
        "controller",
        "control/ahead.py",
        ("reading.eq(request.valid & ~request.ready)", "reading.eq(0)"),
    ),
    *_of(
        "rows",
        "memory/rows.py",
        ("owner.eq(chosen)", "owner.eq(offered)"),
        ("chosen.eq(Mux(waits, kept, offered))", "chosen.eq(offered)"),
        ("row.first + row.bytes + p.axi_bytes - 1", "row.bytes + p.axi_bytes - 1"),
    ),
    *_of(
        "cache writer",
        "spike/kv_cache.py",
        ("index.eq(index + step)", "index.eq(index + 1)"),
        ("row.bytes.eq(1)", "row.bytes.eq(2)"),
    ),
    *_of(
        "vector unit",
        "common/stream.py",
        ("with m.If(~self.o.valid | self.o.ready):", "with m.If(1):"),
    ),
    *_of(
        "operands",
        "vector/unit.py",
        ("asked_b.eq(b_done)", "asked_b.eq(0)"),
        ("with m.If(row == job.rows - 1):", "with m.If(row == job.rows):"),
    ),
    *_of("banks", "matmul/matmul.py", ("begins = accept & (self.bank == bank)", "begins = accept")),
    *_of("burst words", "memory/cut.py", _PAGE_END),
    *_of("write port", "memory/cut.py", _PAGE_END),
    *_of(
        "burst words",
        "memory/bursts.py",
        ("joins.eq(self.i.payload.address == run_end)", "joins.eq(1)"),
        ("run_address.eq(next_address)", "run_address.eq(run_address + 1)"),
    ),
    *_of(
        "read port",
        "memory/read.py",
        ("idle = ~self.o_address.valid |", "idle = self.o_address.valid |"),
    ),
    *_of(
        "read client: weights",
        "memory/read.py",
        ("self.i_data.valid & here)", "self.i_data.valid)"),
    ),
    *_of(
        "read client: weights",
        "memory/read.py",
        ("bursts.o.payload.words <= free", "free != 0"),
        full=True,
    ),
    *_of(
        "write port",
        "memory/write.py",
        ("last.eq(burst_words == 1)", "last.eq(words == 0)"),
        ("(byte < end)", "(byte <= end)"),
        ("first.eq(0),", "first.eq(first),"),
        ("with m.If(~more & sent):", "with m.If(~more):"),
    ),
    *_of(
        "guard",
        "memory/guard.py",
        ("with m.If(~(channel.valid & ~channel.ready)):", "with m.If(1):"),
        ("supply_last.eq(owed == 2)", "supply_last.eq(owed == 1)"),
        ("self.epoch.eq(self.epoch + lost)", "self.epoch.eq(self.epoch)"),
        ("stale = self.closed | (data.payload.epoch != self.epoch)", "stale = self.closed"),
        ("taker.valid.eq(giver.valid & ~shut)", "taker.valid.eq(giver.valid)"),
        ("m.d.sync += owed.eq(self.i_write.payload.words)", "m.d.sync += owed.eq(1)"),
        ("(owed == 0) & ~self.o_write.valid", "(~supply | sent)"),
        ("(owed == 0) & ~self.o_write.valid", "(owed == 0)"),
        ("with m.If(free):", "with m.If(1):"),
        ("held_back = full | self.closed", "held_back = full"),
        ("(~lost | give_up)", "((writes == 0) | give_up)"),
    ),
    *_of(
        "guard ends",
        "memory/guard.py",
        ("with m.If(shut_read & shut_data):", "with m.If(0):"),
        (
            "with m.If(shut_read & shut_data):",
            "with m.If(shut_read & shut_data & ~self.o_write.valid):",
        ),
        ("with m.If(stop & self.closed):", "with m.If(stop & ~self.closed):"),
    ),
    *_of(
        "registers",
        "control/csr.py",
        ("& (~self.bvalid | self.bready)", ""),
        ("& ~self.wdata[1] & ~self.busy", "& ~self.wdata[1]"),
    ),
    *_of(
        "digits",
        "spike/train.py",
        ("above.eq((triple & ~magnitude) >> 1)", "above.eq(triple & ~magnitude)"),
        ("Mux(magnitude > longest, magnitude, longest)", "longest"),
        ("count ^ (~negative).replicate(width)", "count ^ negative.replicate(width)"),
    ),
    *_of(
        "addition",
        "matmul/pe.py",
        ("total = Cat(1, v_mem)", "total = Cat(0, v_mem)"),
        ("weight[-1].replicate", "weight[0].replicate"),
    ),
    *_of(
        "addition",
        "contract/params.py",
        (
            "128 * self.max_channels << self.max_shift).bit_length() + 1",
            "128 * self.max_channels << self.max_shift).bit_length()",
        ),
    ),
    *_of(
        "events",
        "spike/events.py",
        ("rest = fires & (fires - 1)", "rest = fires >> 1"),
        ("next_word < self.ready_words", "next_word < words"),
        ("self.i.payload.new_batch & ~self.o.valid", "self.i.payload.new_batch"),
        ("m.d.comb += lowest.eq(index)", "m.d.comb += lowest.eq(index & 7)"),
    ),
    *_of(
        "events",
        "spike/buffer.py",
        ("Mux(position == 0, 0, gathered)", "gathered"),
        ("active = token < tokens", "active = token <= tokens"),
        ("(write.group + 1) >> groups_log2)", "(write.group >> groups_log2) + 1)"),
    ),
    *_of(
        "steps",
        "spike/train.py",
        ("single.eq(is_single(expanded.steps, unary))", "single.eq(0)"),
        ("(steps & (steps - 1)) == 0", "(steps & (steps - 2)) == 0"),
    ),
    *_of(
        "steps",
        "matmul/sequencer.py",
        ("digits & (digits - 1)", "digits >> 1"),
        ("train.plus[token] > spent", "train.plus[token] >= spent"),
    ),
    *_of(
        "additions",
        "matmul/array.py",
        ("held.eq(next_held_place == operation_place)", "held.eq(~operation.first_step)"),
        ("Mux(flags.valid, place, held_place)", "held_place"),
        ("storing.eq(taken & operation.last_step & self.i.valid)", "storing.eq(0)"),
        ("operation.first_event & operation.first_step", "operation.first_event"),
        ("loads | self.enable", "self.enable"),
    ),
    *_of(
        "additions",
        "matmul/sequencer.py",
        ("op.half.eq(half)", "op.half.eq(0)"),
        ("early = fresh & self.array_storing", "early = ~fresh & self.array_storing"),
    ),
    *_of("accumulation", "matmul/sequencer.py", ("untouched.eq(0)", "untouched.eq(1)")),
    *_of(
        "served: weights",
        "memory/read.py",
        ("bursts.hurry.eq(free > depth // 2)", "bursts.hurry.eq(0)"),
        ("& room & idle &", "& room & ~idle &"),
    ),
    *_of(
        "event path",
        "matmul/beats.py",
        ("taken_words == row.words - 1", "taken_words == row.words"),
        (
            "free.eq(~complete | ~self.o.valid | self.o.ready)",
            "free.eq(~self.o.valid & self.o.ready)",
        ),
    ),
    *_of(
        "event path",
        "matmul/fetch.py",
        ("offered & self.o.ready", "offered"),
        ("accepts.eq(~held_valid | ~valid | move)", "accepts.eq(1)"),
    ),
    *_of(
        "marks",
        "spike/marks.py",
        ("mark.eq(waits & (event.end | apart))", "mark.eq(waits & apart)"),
        ("self.o.ready & ~mark", "self.o.ready"),
        ("event.channel ^ channel, self", "event.channel & ~channel, self"),
    ),
    *_of("scaler", "matmul/scaler.py", ("totals[0].stage - 3", "totals[0].stage - 2")),
]
