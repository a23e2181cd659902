"""The spike encoder: reads a batch of vectors and turns each into spike counts."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.common.memories import NO_COLLISIONS
from hw.contract.isa import INSTRUCTIONS, Opcode, Rule
from hw.contract.params import VECTOR_WIDTH, HwParams
from hw.memory.port import segment_layout
from hw.spike.buffer import batch_layout, spike_write_layout
from hw.spike.exponents import Exponents
from hw.spike.levels import Levels
from hw.spike.neuron import Neuron, input_layout, levels, offset_of
from hw.spike.threshold import Threshold, potential_width

__all__ = ["Encoder", "scale_layout"]

_MANTISSA_WIDTH = 16


def scale_layout(params: HwParams) -> data.StructLayout:
    """Return a threshold as the requantizer takes it: ``mantissa * 2^exponent``."""
    return data.StructLayout(
        {"mantissa": _MANTISSA_WIDTH, "exponent": range(params.threshold_width)}
    )


class Encoder(Component):
    """Execute ENCODE.

    For each token: read its vector into a buffer while its potential is found, derive the
    threshold, pass the buffer through the neurons. The vectors of all tokens are asked for at once,
    after the exponents of their channels, if these have some. Before the first count is written,
    the event queue must have given the spike buffer free.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        An ENCODE instruction, in range.
    bank : In(1)
        Where its scales go; taken with the instruction.
    store : In(1)
        They and the counts go to the cache instead; taken with the instruction, whose tokens are
        then heads.
    o_request, i_words : Out(stream), In(stream)
        The exponents' segment and the vectors', and their words.
    o_batch : Out(stream)
        The batch's extent; taken when the spike buffer's former counts are not needed any more.
    o_counts, storing : Out(stream), Out(1)
        Its counts, times the weight of their spikes, for the spike buffer or for the cache.
    o_head, o_scale : Out(stream)
        For the cache: a head is about to fire (the payload says nothing), and its threshold.
    scales, scales_ready : Out(array), Out(2)
        Each token's threshold as the requantizer takes it, by bank, and which banks are complete.
    busy : Out(1)
        An instruction is being executed.

    Timing:      per token: the vector's words twice, `Threshold.latency`, and 1 + log2(lanes of a
                 word) cycles; at the end 13 more, with short vectors up to 42; before them the
                 exponents' words.
    Arithmetic:  exact.
    Golden:      golden.numerics.neuron.fire
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(stream.Signature(INSTRUCTIONS[Opcode.ENCODE])),
                "bank": In(1),
                "o_request": Out(stream.Signature(segment_layout(p))),
                "i_words": In(stream.Signature(p.axi_data_width)),
                "o_batch": Out(stream.Signature(batch_layout(p))),
                "store": In(1),
                "o_counts": Out(stream.Signature(spike_write_layout(p), always_ready=True)),
                "storing": Out(1),
                "o_head": Out(stream.Signature(1)),
                "o_scale": Out(stream.Signature(scale_layout(p), always_ready=True)),
                "scales": Out(data.ArrayLayout(data.ArrayLayout(scale_layout(p), p.tokens), 2)),
                "scales_ready": Out(2),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        lanes, lanes_log2 = p.encode_lanes, exact_log2(p.encode_lanes)
        site = Signal(INSTRUCTIONS[Opcode.ENCODE], reset_less=True)
        bank = Signal()

        # The vector's groups of `lanes` channels are gone through twice, by LOAD and by FIRE.
        token = Signal(len(site.tokens))
        group = Signal(range(p.max_channels // lanes + 1))
        last_index = Signal.like(group)
        last_group = Signal()
        groups = Signal.like(group)
        m.d.comb += groups.eq(last_index + 1)

        def step(again):
            """Go on to the next group, after the last one to the first."""
            m.d.sync += [
                group.eq(Mux(again, 0, group + 1)),
                last_group.eq(Mux(again, last_index == 0, group + 1 == last_index)),
            ]

        # The requests, ahead of everything else.
        requested = Signal.like(token)
        address = Signal(site.source.shape().width)
        accept = Signal()
        wants_exponents = Signal()
        byte_log2 = exact_log2(p.axi_bytes)
        exponents = Exponents(p) if p.max_shift else None
        m.d.comb += [
            self.o_request.valid.eq(self.busy & (requested != site.tokens)),
            self.o_request.payload.address.eq(address >> byte_log2),
            self.o_request.payload.words.eq(groups),
        ]
        with m.If(wants_exponents):
            m.d.comb += [
                self.o_request.payload.address.eq(site.exponents >> byte_log2),
                self.o_request.payload.words.eq((last_index >> Exponents.WORDS_LOG2) + 1),
            ]
        with m.If(self.o_request.valid & self.o_request.ready):
            m.d.sync += wants_exponents.eq(0)
            with m.If(~wants_exponents):
                m.d.sync += [
                    requested.eq(requested + 1),
                    address.eq(address + site.source_stride),
                ]
        with m.If(accept):
            m.d.sync += [
                site.eq(self.i.payload),
                bank.eq(self.bank),
                requested.eq(0),
                address.eq(self.i.payload.source),
                wants_exponents.eq(self.i.payload.largest_exponent != 0),
                self.storing.eq(self.store),
            ]
            with m.If(~self.store):
                m.d.sync += self.scales_ready.eq(self.scales_ready & ~(1 << self.bank))

        # Magnitudes and signs of the word that arrives; lanes beyond the last channel are zero.
        beyond = Signal(lanes)
        element_layout = data.StructLayout({"magnitude": VECTOR_WIDTH, "negative": 1})
        elements = data.ArrayLayout(element_layout, lanes)
        arrived = Signal(elements, reset_less=True)
        arrived_valid = Signal()
        arrived_group = Signal.like(group)
        loading = Signal()
        arrives = self.i_words.valid & loading
        m.d.sync += arrived_valid.eq(arrives)
        with m.If(arrives):
            m.d.sync += arrived_group.eq(group)
            for lane in range(lanes):
                element = self.i_words.payload.word_select(lane, VECTOR_WIDTH)
                counts = ~(last_group & beyond[lane])
                negative = element[-1] & counts
                magnitude = (element ^ negative.replicate(VECTOR_WIDTH)) & counts.replicate(
                    VECTOR_WIDTH
                )
                m.d.sync += [
                    arrived[lane].magnitude.eq((Cat(1, magnitude) + Cat(negative, 0))[1:]),
                    arrived[lane].negative.eq(negative),
                ]

        # They are kept until the threshold is known.
        m.submodules.vector = vector = memory.Memory(
            shape=elements, depth=p.max_channels // lanes, init=[], attrs=NO_COLLISIONS
        )
        write, read = vector.write_port(), vector.read_port()
        reads = Signal()
        m.d.comb += [
            write.addr.eq(arrived_group),
            write.data.eq(arrived),
            write.en.eq(arrived_valid),
            read.addr.eq(group),
            read.en.eq(reads),
        ]

        # Their sum or the largest of them, pair by pair, then that of all words.
        mean = site.rule == Rule.MEAN
        partial = [element.magnitude for element in arrived]
        partial_valid, others = arrived_valid, Const(0)
        partial_group = arrived_group
        while len(partial) > 1:
            pairs = [
                Signal(VECTOR_WIDTH + exact_log2(lanes), name=f"partial{len(partial) // 2}_{index}")
                for index in range(len(partial) // 2)
            ]
            for pair, one, other in zip(pairs, partial[::2], partial[1::2], strict=True):
                m.d.sync += pair.eq(_combine(one, other, mean))
            valid = Signal(name=f"partial{len(pairs)}_valid")
            m.d.sync += valid.eq(partial_valid)
            others = others | partial_valid
            if exponents is not None:
                of_pairs = Signal.like(group, name=f"partial{len(pairs)}_group")
                m.d.sync += of_pairs.eq(partial_group)
                partial_group = of_pairs
            partial, partial_valid = pairs, valid
        potential = Signal(potential_width(p))
        combined = Signal.like(potential)
        static = site.rule == Rule.STATIC
        m.d.comb += combined.eq(Mux(static, potential, _combine(potential, partial[0], mean)))
        with m.If(partial_valid):
            m.d.sync += potential.eq(combined)
        start_potential = Mux(static, site.peak, 0)
        complete = partial_valid & ~others  # once all words have come
        m.submodules.threshold = threshold = Threshold(p)
        m.d.comb += [
            threshold.i.payload.potential.eq(combined),
            threshold.i.payload.multiplier.eq(site.multiplier),
            threshold.i.payload.divisor.eq(site.divisor),
            threshold.i.payload.shifts.eq(site.shifts),
        ]

        v_th = Signal(p.threshold_width)
        offset = Signal(signed(p.threshold_width + p.count_width + 1))
        m.d.sync += offset.eq(offset_of(p, v_th))
        read_valid = Signal()
        fired = Signal(data.ArrayLayout(input_layout(p), lanes))
        neuron_valid = Signal()
        written_token = Signal.like(token)
        written_group = Signal.like(group)
        m.d.sync += [read_valid.eq(reads), neuron_valid.eq(read_valid)]
        level = Const(0)
        shifts = [Const(0)] * lanes
        loads_exponents = Signal()
        if exponents is not None:
            m.submodules.exponents = exponents
            m.submodules.levels = of_groups = Levels(p)
            m.d.comb += [
                exponents.i.payload.eq(self.i_words.payload),
                exponents.i.valid.eq(loads_exponents & self.i_words.valid),
                exponents.last_word.eq(last_index),
                exponents.largest.eq(site.largest_exponent),
                exponents.word.eq(group),
                exponents.enable.eq(reads),
                of_groups.i_valid.eq(partial_valid),
                of_groups.i.eq(partial[0]),
                of_groups.i_word.eq(partial_group),
                of_groups.potential.eq(potential),
                of_groups.shifts.eq(site.shifts),
                of_groups.word.eq(group),
                of_groups.enable.eq(reads),
            ]
            level = of_groups.o
            # Until the counts are there: a neuron's latency, and what is read before it.
            later = [exponents.o[lane] + level for lane in range(lanes)]
            for index in range(1 + Neuron.latency(p)):
                before, later = later, []
                for lane, value in enumerate(before):
                    register = Signal(range(p.max_shift + 1), name=f"shift{lane}_{index}")
                    m.d.sync += register.eq(value)
                    later.append(register)
            shifts = later
        for lane in range(lanes):
            m.d.sync += [
                fired[lane].magnitude.eq(read.data[lane].magnitude),
                fired[lane].fine.eq((read.data[lane].magnitude << levels(p)) >> level),
                fired[lane].negative.eq(read.data[lane].negative),
            ]
            m.submodules[f"neuron{lane}"] = neuron = Neuron(p)
            m.d.comb += [
                neuron.i.eq(fired[lane]),
                neuron.i_valid.eq(neuron_valid),
                neuron.threshold.eq(v_th),
                neuron.offset.eq(offset),
                neuron.max_count.eq(site.max_count),
                neuron.dead_zone.eq(site.dead_zone),
                self.o_counts.payload.counts[lane].eq(neuron.o << shifts[lane]),
            ]
            if lane == 0:
                m.d.comb += self.o_counts.valid.eq(neuron.o_valid)
        m.d.comb += [
            self.o_counts.payload.token.eq(written_token),
            self.o_counts.payload.group.eq(written_group),
            self.o_batch.payload.tokens.eq(site.tokens),
            self.o_batch.payload.channels.eq(site.channels),
        ]
        with m.If(self.o_counts.valid):
            m.d.sync += written_group.eq(written_group + 1)
            with m.If(written_group == last_index):
                m.d.sync += [written_group.eq(0), written_token.eq(written_token + 1)]

        # The requantizer's view of the threshold: shifted right until 16 bits are left.
        shifted = Signal(p.threshold_width)
        exponent = Signal(range(p.threshold_width))
        scaled_token = Signal.like(token)
        normalizing = Signal()
        m.d.comb += [
            self.o_scale.payload.mantissa.eq(shifted),
            self.o_scale.payload.exponent.eq(exponent),
        ]
        with m.If(normalizing):
            with m.If(shifted[_MANTISSA_WIDTH:].any()):
                m.d.sync += [shifted.eq(shifted >> 1), exponent.eq(exponent + 1)]
            with m.Else():
                m.d.sync += [normalizing.eq(0), scaled_token.eq(scaled_token + 1)]
                for b in range(2):
                    for index in range(p.tokens):
                        with m.If(~self.storing & (bank == b) & (scaled_token == index)):
                            m.d.sync += [
                                self.scales[b][index].mantissa.eq(shifted),
                                self.scales[b][index].exponent.eq(exponent),
                            ]
                m.d.comb += self.o_scale.valid.eq(self.storing)
                with m.If(~self.storing & (scaled_token == site.tokens - 1)):
                    m.d.sync += self.scales_ready.eq(self.scales_ready | (1 << bank))

        m.d.comb += self.busy.eq(1)
        channels = self.i.payload.channels
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.comb += [self.busy.eq(0), self.i.ready.eq(1), accept.eq(self.i.valid)]
                m.d.sync += [
                    token.eq(0),
                    group.eq(0),
                    last_index.eq((channels - 1) >> lanes_log2),
                    last_group.eq(channels <= lanes),
                    beyond.eq(~((2 << (channels - 1)[:lanes_log2]) - 1) if lanes_log2 else 0),
                    written_token.eq(0),
                    scaled_token.eq(0),
                    potential.eq(Mux(self.i.payload.rule == Rule.STATIC, self.i.payload.peak, 0)),
                ]
                with m.If(self.i.valid):
                    m.next = "LOAD"
                    if exponents is not None:
                        with m.If(self.i.payload.largest_exponent != 0):
                            m.next = "EXPONENTS"
            if exponents is not None:
                with m.State("EXPONENTS"):
                    m.d.comb += [self.i_words.ready.eq(1), loads_exponents.eq(1)]
                    with m.If(exponents.loaded):
                        m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += [self.i_words.ready.eq(1), loading.eq(1)]
                with m.If(self.i_words.valid):
                    step(last_group)
                    with m.If(last_group):
                        m.next = "POTENTIAL"
            with m.State("POTENTIAL"):
                m.d.comb += threshold.i.valid.eq(complete)
                with m.If(complete):
                    m.next = "THRESHOLD"
            with m.State("THRESHOLD"):
                begins = threshold.o.valid & ~normalizing
                m.d.comb += [
                    self.o_batch.valid.eq(begins & (token == 0) & ~self.storing),
                    self.o_head.valid.eq(begins & self.storing),
                    threshold.o.ready.eq(
                        ~normalizing
                        & Mux(self.storing, self.o_head.ready, self.o_batch.ready | (token != 0))
                    ),
                ]
                with m.If(threshold.o.valid & threshold.o.ready):
                    m.d.sync += [
                        v_th.eq(threshold.o.payload),
                        shifted.eq(threshold.o.payload),
                        exponent.eq(0),
                        normalizing.eq(1),
                    ]
                    m.next = "FIRE"
            with m.State("FIRE"):
                m.d.comb += reads.eq(1)
                step(last_group)
                with m.If(last_group):
                    m.d.sync += [token.eq(token + 1), potential.eq(start_potential)]
                    m.next = "LOAD"
                    with m.If(token == site.tokens - 1):
                        m.next = "SETTLE"
            with m.State("SETTLE"):
                # The site's limits must stand until its last count has left the neurons.
                with m.If((written_token == site.tokens) & ~normalizing):
                    m.next = "IDLE"
        return m


def _combine(one, other, mean):
    """Return the sum of two values where `mean`, else the larger one: one carry chain."""
    width = max(len(one), len(other))
    less = ~mean
    operand = Cat(other, Const(0, width - len(other) + 1)) ^ less.replicate(width + 1)
    total = (Cat(1, one, Const(0, width - len(one) + 1)) + Cat(less, operand))[1 : width + 2]
    return Mux(mean, total, Mux(total[width], other, one))
