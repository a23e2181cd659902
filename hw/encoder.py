"""The spike encoder: reads a batch of vectors and turns each into spike counts."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.isa import INSTRUCTIONS, Opcode, Rule
from hw.memory_port import log2, segment_layout
from hw.neuron import Neuron
from hw.params import VECTOR_WIDTH, HwParams
from hw.spikes import spike_write_layout
from hw.threshold import Threshold, potential_width

__all__ = ["Encoder", "scale_layout"]

_MANTISSA_WIDTH = 16


def scale_layout(params: HwParams) -> data.StructLayout:
    """Return a threshold as the requantizer takes it: ``mantissa * 2^exponent``."""
    return data.StructLayout(
        {"mantissa": _MANTISSA_WIDTH, "exponent": range(params.threshold_width)}
    )


class Encoder(wiring.Component):
    """Execute ENCODE.

    For each token: read its vector into a buffer while its potential is found, derive the
    threshold, pass the buffer through the neurons.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        An ENCODE instruction, in range; taken when its counts are all written.
    o_request, i_words : Out(stream), In(stream)
        The vectors' segments, and their words.
    o_counts : Out(stream)
        Counts, for the spike buffer.
    scales : Out(array)
        Each token's threshold, as the requantizer takes it; steady between instructions.

    Timing:      per token: the vector's words twice, the threshold's division, 12 cycles.
    Arithmetic:  exact.
    Golden:      golden.encoding.fire
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(stream.Signature(INSTRUCTIONS[Opcode.ENCODE])),
                "o_request": Out(stream.Signature(segment_layout(p))),
                "i_words": In(stream.Signature(p.axi_data_width)),
                "o_counts": Out(stream.Signature(spike_write_layout(p), always_ready=True)),
                "scales": Out(data.ArrayLayout(scale_layout(p), p.tokens)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        lanes, lanes_log2 = p.encode_lanes, log2(p.encode_lanes)
        site = self.i.payload

        token = Signal(range(p.tokens + 1))
        address = Signal(site.source.shape().width)
        group = Signal(range(p.max_channels // lanes + 1))
        groups = Signal.like(group)
        m.d.comb += groups.eq((site.channels + lanes - 1) >> lanes_log2)
        last_group = group == groups - 1

        def inside(lane):
            return (group << lanes_log2) + lane < site.channels

        m.submodules.vector = vector = memory.Memory(
            shape=p.axi_data_width, depth=p.max_channels // lanes, init=[]
        )
        write, read = vector.write_port(), vector.read_port()
        m.d.comb += [
            write.addr.eq(group),
            write.data.eq(self.i_words.payload),
            read.addr.eq(group),
        ]

        potential = Signal(potential_width(p))
        m.submodules.threshold = threshold = Threshold(p)
        v_th = Signal(p.threshold_width)
        m.d.comb += [
            threshold.i.payload.potential.eq(potential),
            threshold.i.payload.multiplier.eq(site.multiplier),
            threshold.i.payload.divisor.eq(site.divisor),
        ]

        # Magnitudes of the word that arrives; lanes beyond the last channel count as zero.
        magnitudes = []
        for lane in range(lanes):
            element = self.i_words.payload.word_select(lane, VECTOR_WIDTH).as_signed()
            magnitude = Signal(VECTOR_WIDTH, name=f"magnitude{lane}")
            m.d.comb += magnitude.eq(Mux(inside(lane), Mux(element < 0, -element, element), 0))
            magnitudes.append(magnitude)
        largest = potential
        for magnitude in magnitudes:
            largest = Mux(magnitude > largest, magnitude, largest)

        m.submodules.neurons = neurons = Module()
        neuron_valid = Signal()
        group_written = Signal.like(group)
        outputs = []
        lane_inside = Signal(lanes)
        for lane in range(lanes):
            neuron = Neuron(p)
            neurons.submodules[f"neuron{lane}"] = neuron
            x = Signal(signed(VECTOR_WIDTH), name=f"x{lane}")
            m.d.comb += [
                x.eq(Mux(lane_inside[lane], read.data.word_select(lane, VECTOR_WIDTH), 0)),
                neuron.i.eq(x),
                neuron.i_valid.eq(neuron_valid),
                neuron.threshold.eq(v_th),
                neuron.max_count.eq(site.max_count),
                neuron.dead_zone.eq(site.dead_zone),
                self.o_counts.payload.counts[lane].eq(neuron.o),
            ]
            outputs.append(neuron)
        m.d.comb += [
            self.o_counts.valid.eq(outputs[0].o_valid),
            self.o_counts.payload.token.eq(token),
            self.o_counts.payload.group.eq(group_written),
        ]
        with m.If(self.o_counts.valid):
            m.d.sync += group_written.eq(group_written + 1)

        # The requantizer's view of the threshold: shifted right until 16 bits are left.
        shifted = Signal(p.threshold_width)
        exponent = Signal(range(p.threshold_width))
        normalized = Signal()
        m.d.comb += normalized.eq(~shifted[_MANTISSA_WIDTH:].any())
        with m.If(~normalized):
            m.d.sync += [shifted.eq(shifted >> 1), exponent.eq(exponent + 1)]

        m.d.sync += neuron_valid.eq(0)
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.sync += [token.eq(0), address.eq(site.source)]
                with m.If(self.i.valid):
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [
                    self.o_request.valid.eq(1),
                    self.o_request.payload.address.eq(address >> log2(p.axi_bytes)),
                    self.o_request.payload.words.eq(groups),
                ]
                m.d.sync += [group.eq(0), potential.eq(Mux(site.rule == Rule.STATIC, site.peak, 0))]
                with m.If(self.o_request.ready):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += [self.i_words.ready.eq(1), write.en.eq(self.i_words.valid)]
                with m.If(self.i_words.valid):
                    m.d.sync += group.eq(group + 1)
                    with m.Switch(site.rule):
                        with m.Case(Rule.ABSMAX):
                            m.d.sync += potential.eq(largest)
                        with m.Case(Rule.MEAN):
                            m.d.sync += potential.eq(potential + sum(magnitudes))
                    with m.If(last_group):
                        m.next = "POTENTIAL"
            with m.State("POTENTIAL"):
                m.d.comb += threshold.i.valid.eq(1)
                m.d.sync += [group.eq(0), group_written.eq(0)]
                m.next = "THRESHOLD"
            with m.State("THRESHOLD"):
                m.d.comb += threshold.o.ready.eq(1)
                with m.If(threshold.o.valid):
                    m.d.sync += [
                        v_th.eq(threshold.o.payload),
                        shifted.eq(threshold.o.payload),
                        exponent.eq(0),
                    ]
                    m.next = "FIRE"
            with m.State("FIRE"):
                m.d.sync += [
                    group.eq(group + 1),
                    neuron_valid.eq(1),
                    lane_inside.eq(sum(inside(lane) << lane for lane in range(lanes))),
                ]
                with m.If(last_group):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If((group_written == groups) & normalized):
                    for index in range(p.tokens):
                        with m.If(token == index):
                            m.d.sync += [
                                self.scales[index].mantissa.eq(shifted),
                                self.scales[index].exponent.eq(exponent),
                            ]
                    m.d.sync += [
                        token.eq(token + 1),
                        address.eq(address + site.source_stride),
                    ]
                    m.next = "REQUEST"
                    with m.If(token == site.tokens - 1):
                        m.d.comb += self.i.ready.eq(1)
                        m.next = "IDLE"
        return m
