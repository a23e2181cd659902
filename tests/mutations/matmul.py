"""Faults in the matrix path, and in the accumulator's width that it is built for."""

from tests.mutations.mutation import faults_in

__all__ = ["MUTATIONS"]

_PROGRAMS = "e2e/test_rtl_shapes.py::test_random_programs"

MUTATIONS = [
    *faults_in(
        "matmul/pe.py",
        "hw/matmul/test_array.py",
        ("the sign of a spike", "wide ^ minus.replicate(width)", "wide ^ fires.replicate(width)"),
        ("the carry into a subtraction", "total = Cat(1, v_mem)", "total = Cat(0, v_mem)"),
        ("a token that does not fire", "operand = Mux(fires,", "operand = Mux(1,"),
    ),
    *faults_in(
        "contract/params.py",
        "hw/matmul/test_array.py",
        (
            "the highest bit of the accumulator",
            "(self.max_count * 128 * self.max_channels << self.max_shift).bit_length() + 1",
            "(self.max_count * 128 * self.max_channels << self.max_shift).bit_length()",
        ),
    ),
    *faults_in(
        "matmul/array.py",
        "hw/matmul/test_array.py",
        (
            "forwarding of a bank that returns at once",
            "held.eq(next_held_place == operation_place)",
            "held.eq(~operation.first_step)",
        ),
        (
            "clearing of a tile's accumulators",
            "clear.eq(operation.first_event & operation.first_step)",
            "clear.eq(0)",
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
    *faults_in(
        "matmul/sequencer.py",
        "hw/matmul/test_array.py",
        (
            "the wait for the first of two beats",
            "early = fresh & self.array_storing",
            "early = ~fresh & self.array_storing",
        ),
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
        ("a tile without events", "finished.empty.eq(untouched)", "finished.empty.eq(0)"),
        (
            "the wait for the array",
            "(sums | (half_free & self.array_idle))",
            "(sums | half_free)",
        ),
    ),
    *faults_in(
        "matmul/tiling.py",
        "hw/matmul/test_tiling.py",
        (
            "the outputs of the last tile",
            "self.o.last.outputs.eq((self.outputs - 1)[:tile_log2] + 1)",
            "self.o.last.outputs.eq(self.outputs[:tile_log2])",
        ),
        ("a row's padding to whole words", "words << beats_log2", "groups"),
    ),
    *faults_in(
        "matmul/fetch.py",
        "hw/matmul/test_fetch.py",
        ("a MATMUL's own base", "Mux(placed.based, placed.base_of_matmul, base)", "base"),
        ("the next tile's base", "Mux(placed.end, address, current_base)", "current_base"),
        ("a segment that is not taken", "move.eq(placed.end | ~offered | both)", "move.eq(1)"),
        (
            "the pitch of a ragged tile's rows",
            "pitch.eq(Mux(last_tile & ~matmul.strided,",
            "pitch.eq(Mux(last_tile,",
        ),
        ("the scales behind a group's rows", "within.eq(low + 1)", "within.eq(low)"),
        (
            "the length of a group in a ragged tile",
            "+ Mux(last_tile & ~matmul.strided, last, full)",
            "+ full",
        ),
        ("a length that is not known yet", "ready &= settled | (matmul.group == 0)", "ready &= 1"),
        ("the last group of a tile", "Mux(event.end, low, 0)", "0"),
    ),
    *faults_in(
        "matmul/scaler.py",
        "hw/matmul/test_scaler.py",
        ("a group's offset times its spikes", "psum + Mux(zero, offset, 0)", "psum"),
        ("the shift of a minimum", "Mux(minimum, offset << places, 0)", "Mux(minimum, offset, 0)"),
        ("the first group of a tile", "Mux(first, 0, before)", "before"),
        ("the place of a sum", "Mux(self.busy, pipe.at(index, reads), self.index)", "self.index"),
    ),
    *faults_in(
        "matmul/drain.py",
        "hw/matmul/test_drain.py",
        (
            "a group before its scales",
            "Mux(scaling, self.i_scales.valid, words & moves)",
            "Mux(scaling, 1, words & moves)",
        ),
        ("sums that are not complete", "& ~self.scaler_busy", "& 1"),
        (
            "a half that no group had",
            "self.release.eq(Mux(is_sums, 0, 1 <<",
            "self.release.eq(Mux(0, 0, 1 <<",
        ),
    ),
    *faults_in(
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
    *faults_in(
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
    *faults_in(
        "matmul/drain.py",
        "hw/matmul/test_drain.py",
        (
            "accumulators that nothing touched",
            "Mux(finished.empty, 0, value)",
            "value",
        ),
        (
            "the last group of a ragged tile",
            "<< exact_log2(p.encode_lanes) >= outputs",
            "<< exact_log2(p.encode_lanes) > outputs",
        ),
        (
            "the wait for the thresholds",
            "begins & (is_group | ~waits)",
            "begins",
        ),
        ("a word that is not taken", "moves = ~self.o.valid | self.o.ready", "moves = 1"),
        (
            "a word that an operation pushes out",
            "m.d.sync += [group.eq(read_group), token.eq(read_token)]",
            "m.d.sync += [group.eq(group), token.eq(read_token)]",
        ),
    ),
    *faults_in(
        "matmul/requant.py",
        "hw/matmul/test_requant.py",
        (
            "the rounding bit",
            "(shifted[: VECTOR_WIDTH + 1] + 1) >> 1",
            "shifted[1 : VECTOR_WIDTH + 1]",
        ),
        ("the saturation of the product", "saturates = beyond | ", "saturates = beyond & "),
        ("negative numbers", "Cat(negative, bias).as_signed()", "Cat(0, bias).as_signed()"),
        ("a result that is not taken", "move.eq(~self.o.valid | self.o.ready)", "move.eq(1)"),
    ),
    *faults_in(
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
    *faults_in(
        "matmul/matmul.py",
        "e2e/test_cycle.py::test_random_programs",
        ("the beats at hand", "Queue(beat_layout(p), p.beat_depth)", "Queue(beat_layout(p), 4)"),
    ),
]
