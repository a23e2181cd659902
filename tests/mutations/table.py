"""The mutations: one fault each, and the test that must see it."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["MUTATIONS", "ROOT", "Mutation"]

ROOT = Path(__file__).resolve().parent.parent.parent
"""The project's root."""


@dataclass(frozen=True)
class Mutation:
    """A fault put in on purpose.

    Attributes
    ----------
    name : str
        What it breaks.
    file : str
        Where, relative to the project's root.
    old, new : str
        Text that occurs once in the file, and what takes its place.
    test : str
        The test, as pytest names it, that must fail then.
    """

    name: str
    file: str
    old: str
    new: str
    test: str

    def apply(self, root: Path) -> None:
        """Put it into the project at `root`.

        Raises
        ------
        ValueError
            Where the text to replace does not occur exactly once.
        """
        path = root / self.file
        text = path.read_text()
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.file} must hold {self.old!r} once, not {found} times")
        path.write_text(text.replace(self.old, self.new))


def _of(file: str, test: str, *faults: tuple[str, str, str]) -> list[Mutation]:
    """Return the mutations of one file that one test must see: name, old and new text."""
    return [Mutation(name, f"hw/{file}", old, new, f"tests/{test}") for name, old, new in faults]


_PROGRAMS = "e2e/test_rtl_shapes.py::test_random_programs"
_ERRORS = "e2e/test_rtl_errors.py"


MUTATIONS = [
    *_of(
        "matmul/pe.py",
        "hw/matmul/test_array.py",
        ("the sign of a spike", "wide ^ minus.replicate(width)", "wide ^ plus.replicate(width)"),
        ("the carry into a subtraction", "total = Cat(1, v_mem)", "total = Cat(0, v_mem)"),
        ("a token that does not fire", "operand = Mux(plus | minus,", "operand = Mux(1,"),
    ),
    *_of(
        "contract/params.py",
        "hw/matmul/test_array.py",
        (
            "the highest bit of the accumulator",
            "(self.max_count * 127 * self.max_channels).bit_length() + 1",
            "(self.max_count * 127 * self.max_channels).bit_length()",
        ),
    ),
    *_of(
        "matmul/array.py",
        "hw/matmul/test_array.py",
        (
            "forwarding of a bank that returns at once",
            "keep = ~flags.load | (held_place == place)",
            "keep = ~flags.load",
        ),
        (
            "transparency of the load port",
            "accumulators.read_port(transparent_for=(store,))",
            "accumulators.read_port()",
        ),
        (
            "clearing of a tile's accumulators",
            "flags.clear.eq(operation.first_event & operation.first_step)",
            "flags.clear.eq(0)",
        ),
        ("the half that drains", "address(self.half, self.bank)", "address(0, self.bank)"),
        (
            "the product of a MAC array",
            "weight * operation.magnitudes[token]",
            "weight << operation.shift",
        ),
        (
            "each token's own product",
            "operands[token if mac else 0][lane]",
            "operands[0][lane]",
        ),
    ),
    *_of(
        "matmul/sequencer.py",
        "hw/matmul/test_array.py",
        ("the wait for a half", "half_free = ~occupied.bit_select(half, 1)", "half_free = 1"),
        (
            "the release of a half",
            "m.d.sync += occupied.eq(occupied & ~self.release)",
            "m.d.sync += occupied.eq(0)",
        ),
        (
            "the lanes of a ragged bank",
            "op.lanes.eq(Mux(left < p.lanes, left, p.lanes))",
            "op.lanes.eq(p.lanes)",
        ),
        (
            "a MAC array's magnitudes",
            "op.magnitudes[token].eq(train.plus[token])",
            "op.magnitudes[token].eq(train.plus[0])",
        ),
        ("a tile without events", "payload.empty.eq(untouched)", "payload.empty.eq(0)"),
        (
            "the wait for the array",
            "& train.end & half_free & self.array_idle",
            "& train.end & half_free",
        ),
    ),
    *_of(
        "spike/train.py",
        "hw/spike/test_train.py",
        (
            "the digits +1 of the non-adjacent form",
            "(triple & ~magnitude) >> 1",
            "(triple & ~magnitude) >> 2",
        ),
        ("the digits -1 of the non-adjacent form", "(magnitude & ~triple) >> 1", "0"),
        (
            "the sign of a train",
            "expanded.minus[token].eq(Mux(negative, above, below))",
            "expanded.minus[token].eq(below)",
        ),
    ),
    *_of(
        "spike/train.py",
        "hw/matmul/test_array.py",
        ("a MAC array's one step", "steps = Const(1)", "steps = longest"),
        ("a silent channel's step", "Mux(steps == 0, 1, steps)", "steps"),
    ),
    *_of(
        "spike/neuron.py",
        "hw/spike/test_neuron.py",
        (
            "the clip at the largest count",
            "Mux(overflow, self.max_count, last.spikes)",
            "Mux(overflow, 0, last.spikes)",
        ),
        ("counts beyond every clip", "overflow = last.spikes > self.max_count", "overflow = 0"),
        ("the edge of the dead zone", "magnitude >= self.dead_zone", "magnitude > self.dead_zone"),
        (
            "the membrane's start at half a threshold",
            "(magnitude << (THRESHOLD_FRACTION_BITS + 1)) + self.threshold",
            "magnitude << (THRESHOLD_FRACTION_BITS + 1)",
        ),
        ("the edge of a threshold", "before.v_mem >= quantum", "before.v_mem > quantum"),
        ("the soft reset", "Mux(holds, before.v_mem - quantum, before.v_mem)", "before.v_mem"),
    ),
    *_of(
        "spike/threshold.py",
        "hw/spike/test_threshold.py",
        ("the least threshold", "self.o.payload.eq(one_lsb)", "self.o.payload.eq(dividend)"),
        ("a threshold's saturation", "dividend[width:].any()", "dividend[width + 40 :].any()"),
    ),
    *_of(
        "spike/encoder.py",
        "hw/spike/test_encoder.py",
        (
            "magnitudes beyond the last channel",
            "Mux(inside(lane), Mux(element < 0, -element, element), 0)",
            "Mux(element < 0, -element, element)",
        ),
        (
            "counts beyond the last channel",
            "lane_inside.eq(sum(inside(lane) << lane for lane in range(lanes)))",
            "lane_inside.eq((1 << lanes) - 1)",
        ),
        (
            "the wait for the spike buffer",
            "self.o_head.ready, self.o_batch.ready | (token != 0))",
            "self.o_head.ready, 1)",
        ),
        (
            "the wait for the cache",
            "Mux(self.storing, self.o_head.ready,",
            "Mux(self.storing, 1,",
        ),
        ("thresholds that a STORE leaves alone", "with m.If(~self.store):", "with m.If(1):"),
        (
            "a head's threshold that is no batch's",
            "with m.If(~self.storing & (bank == b) &",
            "with m.If((bank == b) &",
        ),
        (
            "a scale's bank",
            "self.scales_ready.eq(self.scales_ready & ~(1 << self.bank))",
            "self.scales_ready.eq(self.scales_ready)",
        ),
    ),
    *_of(
        "spike/buffer.py",
        "hw/spike/test_events.py",
        ("stale bits of a bitmap", "Mux(position == 0, 0, gathered)", "gathered"),
        ("tokens beyond the batch", "active = token < tokens", "active = tokens != 0"),
    ),
    *_of(
        "spike/events.py",
        "hw/spike/test_events.py",
        (
            "an event that is not taken",
            "event_taken.eq(event_valid & free)",
            "event_taken.eq(event_valid)",
        ),
        ("an end mark that is not taken", "with m.If(end_valid & free):", "with m.If(end_valid):"),
        ("silent channels that are fetched", "if p.skip_silent:", "if True:"),
        (
            "channels beyond the last one",
            "first + index < self.channels for index",
            "first + index <= self.channels for index",
        ),
        (
            "a walk that overtakes the encoder",
            "walking & (next_word < self.ready_words) &",
            "walking & (next_word < words) &",
        ),
    ),
    *_of(
        "matmul/tiling.py",
        "hw/matmul/test_tiling.py",
        (
            "the outputs of the last tile",
            "self.o.last.outputs.eq((self.outputs - 1)[:tile_log2] + 1)",
            "self.o.last.outputs.eq(self.outputs[:tile_log2])",
        ),
        ("a row's padding to whole words", "words << beats_log2", "groups"),
    ),
    *_of(
        "matmul/fetch.py",
        "hw/matmul/test_fetch.py",
        ("a MATMUL's own base", "Mux(based, base_of_matmul, base)", "base"),
        ("the next tile's base", "current_base + Mux(end, distance, 0)", "current_base"),
        ("a segment that is not taken", "move.eq(end | both)", "move.eq(1)"),
        (
            "the pitch of a ragged tile's rows",
            "Mux(matmul.strided, matmul.tiling.full.row_words, row.words)",
            "row.words",
        ),
    ),
    *_of(
        "matmul/beats.py",
        "hw/matmul/test_beats.py",
        (
            "a weight's sign",
            "chosen.word_select(lane, width).as_signed()",
            "chosen.word_select(lane, width)",
        ),
        (
            "a beat that is not taken",
            "free.eq(~complete | ~self.o.valid | self.o.ready)",
            "free.eq(1)",
        ),
    ),
    *_of(
        "memory/bursts.py",
        "hw/memory/test_bursts.py",
        (
            "the cut at 4 KiB",
            "longest.eq(Mux(to_page_end < self._max_words, to_page_end, self._max_words))",
            "longest.eq(self._max_words)",
        ),
        (
            "a burst handed over while the one before waits",
            "(run_words != 0) & complete & (~self.o.valid | self.o.ready)",
            "(run_words != 0) & complete",
        ),
    ),
    *_of(
        "memory/read.py",
        "hw/memory/test_read.py",
        (
            "the credit of a client",
            "room.eq(reserved + bursts.o.payload.words <= depth)",
            "room.eq(reserved <= depth)",
        ),
        ("the return of credit", "Mux(grant, bursts.o.payload.words, 0) - left", "0"),
        ("the order of the clients", "& idle & ~Cat(*wants).any()", "& idle"),
    ),
    *_of(
        "matmul/channel_words.py",
        "hw/matmul/test_channel_words.py",
        ("the half that is loaded", "half.eq(~half),", "half.eq(0),"),
        (
            "a half that still drains",
            "self.o_request.valid.eq(~self.loaded.bit_select(half, 1))",
            "self.o_request.valid.eq(1)",
        ),
        ("biases that a MATMUL has not", "Mux(bias_comes, word, 0)", "word"),
    ),
    *_of(
        "matmul/drain.py",
        "hw/matmul/test_drain.py",
        (
            "accumulators that nothing touched",
            "Mux(empty, 0, self.psums[lane])",
            "self.psums[lane]",
        ),
        (
            "the last group of a ragged tile",
            "<< exact_log2(p.encode_lanes) >= outputs",
            "<< exact_log2(p.encode_lanes) > outputs",
        ),
        (
            "the wait for the thresholds",
            "self.i_matmul.valid & self.i_tile.valid & ready",
            "self.i_matmul.valid & self.i_tile.valid",
        ),
        ("a word that is not taken", "move = ~self.o.valid | self.o.ready", "move = 1"),
    ),
    *_of(
        "matmul/requant.py",
        "hw/matmul/test_requant.py",
        ("the rounding bit", "half_up.eq((scaled << 1).bit_select(places, 1))", "half_up.eq(0)"),
        ("the saturation of the product", "Mux(whole > limit, limit, whole)", "whole"),
        ("the saturation after the bias", "total >= limit", "total > limit"),
        ("a result that is not taken", "move.eq(~self.o.valid | self.o.ready)", "move.eq(1)"),
    ),
    *_of(
        "memory/write.py",
        "hw/memory/test_write.py",
        ("the bytes behind a row", "(byte < end)", "(byte <= end)"),
        ("the bytes before a row", "(byte >= first) & (byte < end)", "(byte < end)"),
        (
            "the words that a row touches",
            "words.eq((row.first + row.bytes + p.axi_bytes - 1)",
            "words.eq((row.bytes + p.axi_bytes - 1)",
        ),
        (
            "the cut at 4 KiB",
            "longest.eq(Mux(to_page_end < p.max_burst_words, to_page_end, p.max_burst_words))",
            "longest.eq(p.max_burst_words)",
        ),
        (
            "a word that is not taken",
            "self.i.ready.eq(more & (~out.valid | out.ready))",
            "self.i.ready.eq(more)",
        ),
        (
            "the wait for acknowledgements",
            'self.busy.eq(~fsm.ongoing("ROW") | (pending != 0))',
            'self.busy.eq(~fsm.ongoing("ROW"))',
        ),
    ),
    *_of(
        "control/ahead.py",
        "hw/control/test_ahead.py",
        ("the room for words", "under_way + words <= self._room", "under_way < self._room"),
        ("all of the room", "under_way + words <= self._room", "under_way + words < self._room"),
        ("a segment on offer", "reading.eq(request.valid & ~request.ready)", "reading.eq(0)"),
        ("words that are thrown away", "self.i_words.valid & ~self.stop", "self.i_words.valid"),
        ("words under way", "~reading & (under_way == 0)", "~reading"),
        ("a segment that is still wanted", "wanted.eq(wanted - 1)", "wanted.eq(0)"),
    ),
    *_of(
        "control/controller.py",
        "hw/control/test_controller_failures.py",
        (
            "a slot that could not be read",
            "with m.If(failure != Error.NONE):  # the slot may not be what memory holds",
            "with m.If(0):",
        ),
        (
            "END's wait for the units",
            "slots.quiet & records.quiet & ~self.working",
            "slots.quiet & records.quiet",
        ),
    ),
    *_of(
        "control/controller.py",
        "hw/control/test_controller.py",
        ("the fence", "fenced = any_fields.fence & self.working", "fenced = 0"),
        (
            "thresholds that a MATMUL still needs",
            "~fenced & ~self.bank_busy.bit_select(self.bank, 1)",
            "~fenced",
        ),
        ("a program's own ENCODE", "started.eq(0),", "started.eq(1),"),
    ),
    *_of(
        "control/controller.py",
        "hw/control/test_controller_loops.py",
        ("the words of records at the end", "slots.quiet & records.quiet", "slots.quiet"),
    ),
    *_of(
        "control/controller.py",
        "hw/control/test_controller_fences.py",
        ("the wait of TOKEN", "with m.Elif(~self.working):", "with m.Elif(1):"),
        (
            "a fence on what the controller does itself",
            "Opcode.NEXT, Opcode.PREFILL, Opcode.LAYERS\n",
            "Opcode.END\n",
        ),
    ),
    *_of(
        "control/controller.py",
        "hw/control/test_controller_tokens.py",
        (
            "a stop token of the prompt",
            "(position >= self.prompt_end) & (number == self.stop_token)",
            "number == self.stop_token",
        ),
        ("the end of the vocabulary", "number >= fields[Opcode", "number > fields[Opcode"),
        (
            "the last position of the prompt",
            "position + 1 < self.prompt_end",
            "position < self.prompt_end",
        ),
        ("the token of a program before", "token.eq(0),", "token.eq(token),"),
    ),
    *_of(
        "control/slots.py",
        "hw/control/test_slots.py",
        (
            "a record that is taken",
            "slot.eq(slot ^ record), records_left.eq(records_left - 1)",
            "slot.eq(slot ^ record)",
        ),
        (
            "a record that there is not",
            "(records_left == 0) | self.failed",
            "self.failed",
        ),
        ("records that nobody took", "with m.If(records_left != 0):", "with m.If(0):"),
        (
            "the repetitions of a loop",
            "with m.If(layers_left != 1):",
            "with m.If(layers_left != 0):",
        ),
        ("what was read ahead of a jump", "with m.If(ahead.quiet):", "with m.If(1):"),
        ("the slots after a jump", "words, count - first)", "words, count)"),
        ("the end of the program", "with m.Elif(next_slot == slot_count):", "with m.Elif(0):"),
        ("a slot after a failure", "with m.If(self.failed):", "with m.If(0):"),
        ("a sum that is too long", "total[len(length) :].any()", "0"),
    ),
    *_of(
        "control/placement.py",
        "hw/control/test_placement.py",
        (
            "the place of the position's row",
            "position[:POSITION_WIDTH] * vector.stride",
            "self.token * vector.stride",
        ),
        (
            "the place of an ARGMAX",
            "number = (position + 1) << exact_log2",
            "number = position << exact_log2",
        ),
        ("the place of the token's row", "Mux(vector.a_by_token, by_token, 0)", "by_token"),
    ),
    *_of(
        "memory/rows.py",
        "hw/memory/test_rows.py",
        ("the owner of the words", "owner.eq(chosen)", "owner.eq(offered)"),
        ("a row on offer", "Mux(waits, kept, offered)", "offered"),
        (
            "the words that a row touches",
            "left.eq((row.first + row.bytes + p.axi_bytes - 1)",
            "left.eq((row.bytes + p.axi_bytes - 1)",
        ),
    ),
    *_of(
        "spike/kv_cache.py",
        "hw/spike/test_kv_cache.py",
        ("the tile of a key", "Cat(column, tile * job.channels)", "Cat(column, tile)"),
        ("the byte of a key in its word", "row.first.eq(code_address)", "row.first.eq(0)"),
        ("the code of a key", "one[index[:byte_log2]]", "one[0]"),
        (
            "the pitch of value rows",
            "(position * row_words) << byte_log2",
            "position * job.channels",
        ),
        (
            "a scale's exponent",
            "FRACTION_BITS + THRESHOLD_FRACTION_BITS - self.i_scale.payload.exponent",
            "FRACTION_BITS + self.i_scale.payload.exponent",
        ),
        ("the wait for a threshold", "(came == groups) & scaled", "came == groups"),
        ("a scale that has come before", "scaled.eq(0), index", "scaled.eq(scaled), index"),
    ),
    *_of(
        "control/legal.py",
        "hw/control/test_legal.py",
        (
            "positions beyond 16 bits",
            "(~vector.b_by_position | ~position[POSITION_WIDTH:].any())",
            "1",
        ),
    ),
    *_of(
        "common/divide.py",
        "hw/common/test_divide.py",
        ("a quotient bit", "fits.eq(partial >= divisor)", "fits.eq(partial > divisor)"),
    ),
    *_of(
        "vector/lanes.py",
        "hw/vector/test_unit.py",
        ("halves of negative numbers", "(value + half - (value < 0))", "(value + half)"),
        (
            "the largest element",
            "Mux(value >= _LIMIT, _LIMIT - 1,",
            "Mux(value > _LIMIT, _LIMIT - 1,",
        ),
        (
            "the smallest element",
            "Mux(value < -_LIMIT, -_LIMIT,",
            "Mux(value < -_LIMIT, 1 - _LIMIT,",
        ),
    ),
    *_of(
        "vector/elementwise.py",
        "hw/vector/test_unit.py::test_rotate",
        ("the sense of a rotation", "first - second if subtracts", "first + second if subtracts"),
    ),
    *_of(
        "vector/elementwise.py",
        "hw/vector/test_unit.py::test_swiglu",
        ("gates beyond the table", "Mux(beyond[2], one,", "Mux(0, one,"),
        ("negative gates", "Mux(gate[2] < 0, one - upper, upper)", "upper"),
        ("the rounding of the sigmoid", "(1 + exp(-i / 32)) + 0.5)", "(1 + exp(-i / 32)))"),
        ("the place within a segment", "rise.eq(step * place[1])", "rise.eq(step * place[0])"),
    ),
    *_of(
        "vector/norm.py",
        "hw/vector/test_unit.py::test_norm",
        (
            "squares beyond the last element",
            "Mux(self.inside[lane], x * x, 0)",
            "x * x",
        ),
        ("a row's own sum", "m.d.sync += self.squares.eq(0)", "m.d.sync += of_word.eq(0)"),
    ),
    *_of(
        "vector/softmax.py",
        "hw/vector/test_unit.py::test_softmax",
        (
            "scores beyond the last one",
            "self.inside[lane] & (self.a[lane] > best)",
            "self.a[lane] > best",
        ),
        ("powers beyond the last one", "Mux(inside[6][lane], powers[lane], 0)", "powers[lane]"),
        ("powers that are too small", "whole[2] > EXP_BITS", "whole[2] > 4 * EXP_BITS"),
        ("the rounding of a probability", "half.eq(1 << (self.places - 1)[:6])", "half.eq(0)"),
        ("the 2^12 of a weight", '(factor["exponent"] - _RAISED)', '(factor["exponent"])'),
        (
            "the address of a segment",
            "read.addr.eq(t[_PLACE_BITS:FRACTION_BITS])",
            "read.addr.eq(t[_PLACE_BITS + 1 : FRACTION_BITS])",
        ),
    ),
    *_of(
        "vector/argmax.py",
        "hw/vector/test_unit.py",
        ("the first of equal elements", "of_word > largest", "of_word >= largest"),
        (
            "elements beyond the last one",
            "self.inside[lane] & (self.a[lane] > best)",
            "self.a[lane] > best",
        ),
    ),
    *_of(
        "vector/unit.py",
        "hw/vector/test_unit.py",
        (
            "the gains that all rows share",
            "Mux(job.b_same, b, b + job.stride)",
            "b + job.stride",
        ),
        ("b in the last pass only", "self.i_b.ready.eq(take & needs_b)", "self.i_b.ready.eq(take)"),
        ("what RMSNorm adds", "divider.o.payload + job.constant", "divider.o.payload + 1"),
        ("the place of an index", "self.o_row.payload.first.eq(destination),", ""),
        (
            "a word that is not taken",
            "move.eq(~self.o.valid | self.o.ready)",
            "move.eq(1)",
        ),
    ),
    *_of(
        "control/csr.py",
        "hw/control/test_csr.py",
        ("a start while busy", "& self.wdata[0] & ~self.busy", "& self.wdata[0]"),
        (
            "the latch of a counter's upper half",
            "counter_high.eq(counters",
            "counter_high.eq(0 & counters",
        ),
        ("the strobes", "(field & ~mask) | (self.wdata & mask)", "self.wdata"),
    ),
    *_of(
        "matmul/matmul.py",
        _PROGRAMS,
        (
            "an event that its queue does not take",
            "both.eq(fetcher.i.ready & event_queue.i.ready)",
            "both.eq(fetcher.i.ready)",
        ),
        (
            "an event that the fetcher does not take",
            "both.eq(fetcher.i.ready & event_queue.i.ready)",
            "both.eq(event_queue.i.ready)",
        ),
        (
            "events counted in the first tile only",
            "self.event.eq(self.row_segment & first_tile)",
            "self.event.eq(self.row_segment)",
        ),
        ("the bank of a MATMUL's thresholds", '"bank": self.bank,', '"bank": 0,'),
        (
            "a bank that is still needed",
            "self.bank_busy[bank].eq(under_way != 0)",
            "self.bank_busy[bank].eq(0)",
        ),
    ),
    *_of(
        "matmul/matmul.py",
        "e2e/test_cycle.py::test_random_programs",
        ("the beats at hand", "Queue(beat_layout(p), p.beat_depth)", "Queue(beat_layout(p), 4)"),
    ),
    *_of(
        "top.py",
        _PROGRAMS,
        ("the length of a burst", "len.eq(burst.words - 1)", "len.eq(burst.words)"),
        (
            "END's wait for what is being written",
            "                | write.busy\n",
            "",
        ),
    ),
    *_of(
        "top.py",
        "e2e/test_rtl_queues.py",
        (
            "an ENCODE that passes the MATMULs before it",
            "instruction.ready.eq(encoder.i.ready & other.ready)",
            "instruction.ready.eq(encoder.i.ready)",
        ),
    ),
    *_of(
        "top.py",
        _ERRORS,
        ("the responses of a failing memory", "_OKAY_MASK = 0b10", "_OKAY_MASK = 0b00"),
    ),
]
