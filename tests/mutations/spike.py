"""Faults on the way from vectors to spikes."""

from tests.mutations.mutation import faults_in

__all__ = ["MUTATIONS"]

MUTATIONS = [
    *faults_in(
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
    *faults_in(
        "spike/train.py",
        "hw/matmul/test_array.py",
        ("a MAC array's one step", "steps = Const(1)", "steps = longest"),
        ("a silent channel's step", "Mux(steps == 0, 1, steps)", "steps"),
    ),
    *faults_in(
        "spike/neuron.py",
        "hw/spike/test_neuron.py",
        (
            "the clip at the largest count",
            "Mux(overflow, self.max_count, spikes)",
            "Mux(overflow, 0, spikes)",
        ),
        ("counts beyond every clip", "overflow = spikes > self.max_count", "overflow = 0"),
        ("the edge of the dead zone", "magnitude >= self.dead_zone", "magnitude > self.dead_zone"),
        (
            "the membrane's start at half a threshold",
            "return threshold - (threshold << params.count_width)",
            "return -(threshold << params.count_width)",
        ),
        ("the edge of a threshold", "holds = ~before[-1]", "holds = before > 0"),
        ("the soft reset", "Cat(before[: bit + 1], total[1:])", "before"),
        ("the carry into a comparison", "Cat(holds, operand)", "Cat(~holds, operand)"),
    ),
    *faults_in(
        "spike/levels.py",
        "hw/spike/test_encoder.py",
        ("the loudest channel of a group", "begins | (self.i > peak)", "begins"),
        ("the edge of a level", "<= self.potential", "< self.potential"),
        ("the levels that a site has", "& (self.shifts > index)", "& 1"),
        ("the level of the next group", "~self.enable | ends", "~self.enable"),
    ),
    *faults_in(
        "spike/exponents.py",
        "hw/spike/test_encoder.py",
        ("the largest exponent", "Mux(own > self.largest, self.largest, own)", "own"),
        ("the exponents of the next site", "Mux(self.loaded, 0, written + 1)", "written + 1"),
    ),
    *faults_in(
        "spike/marks.py",
        "hw/spike/test_marks.py",
        ("the mark of a tile's last group", "waits & (event.end | apart)", "waits & apart"),
        ("a mark's channel", "self.o.payload.channel.eq(channel)", "self.o.payload.channel.eq(0)"),
        ("an event behind a mark", "self.o.ready & ~mark", "self.o.ready"),
    ),
    *faults_in(
        "spike/threshold.py",
        "hw/spike/test_threshold.py",
        ("the least threshold", "self.o.payload.eq(1 << finest)", "self.o.payload.eq(quotient)"),
        ("a threshold's saturation", "quotient[width:].any()", "quotient[width + 40 :].any()"),
    ),
    *faults_in(
        "spike/encoder.py",
        "hw/spike/test_encoder.py",
        (
            "magnitudes beyond the last channel",
            "counts = ~(last_group & beyond[lane])",
            "counts = ~(last_group & 0)",
        ),
        ("the sign of a magnitude", "Cat(1, magnitude) +", "Cat(0, magnitude) +"),
        ("the wait for the last word", "complete = partial_valid & ~others", "complete = Const(1)"),
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
    *faults_in(
        "spike/buffer.py",
        "hw/spike/test_events.py",
        ("stale bits of a bitmap", "Mux(position == 0, 0, gathered)", "gathered"),
        ("tokens beyond the batch", "active = token < tokens", "active = tokens != 0"),
    ),
    *faults_in(
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
    *faults_in(
        "spike/kv_cache.py",
        "hw/spike/test_kv_cache.py",
        ("the tile of a key", "Mux(keys, position >> tile_log2, position)", "position"),
        ("the byte of a key in its word", "row.first.eq(code_address)", "row.first.eq(0)"),
        ("the code of a key", "one[index[:byte_log2]]", "one[0]"),
        (
            "the pitch of value rows",
            "Mux(keys, job.channels, row_words)",
            "job.channels",
        ),
        (
            "a scale's exponent",
            "FRACTION_BITS + THRESHOLD_FRACTION_BITS - self.i_scale.payload.exponent",
            "FRACTION_BITS + self.i_scale.payload.exponent",
        ),
        ("the wait for a threshold", "(came == groups) & scaled", "came == groups"),
        ("a scale that has come before", "scaled.eq(0), index", "scaled.eq(scaled), index"),
    ),
]
