"""The scaler: a group's accumulators times its scales, added up group by group."""

from amaranth import Const, Module, Mux, signed
from amaranth.lib import data, memory
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.common.memories import NO_COLLISIONS
from hw.common.pipeline import Pipeline
from hw.contract.isa import INSTRUCTIONS, Opcode
from hw.contract.params import GROUPS, LARGEST_ZERO, SCALE_WIDTHS, SUM_WIDTH, HwParams

__all__ = ["Scaler", "group_layout", "scale_pair_layout", "sum_index"]


def sum_index(params: HwParams) -> range:
    """Return the places of sums: a word of outputs of a token each, of a full tile."""
    return range(max(2, params.tile_outputs // params.encode_lanes * params.tokens))


def scale_pair_layout() -> data.StructLayout:
    """Return the scales of a group for one output: d, and z or m."""
    width = SCALE_WIDTHS[-1]
    return data.StructLayout({"d": signed(width + 1), "offset": signed(width)})


def group_layout(params: HwParams) -> data.StructLayout:
    """Return what a word of outputs of a token is given with its accumulators."""
    return data.StructLayout(
        {
            "scales": data.ArrayLayout(scale_pair_layout(), params.encode_lanes),
            "spike_sum": signed(params.spike_sum_width),  # of the group
            "first": 1,  # group of the tile: its sum starts at zero
            "index": sum_index(params),
            "zero": 1,  # offsets are z
            "minimum": 1,  # offsets are m
            "offset_shift": INSTRUCTIONS[Opcode.MATMUL]["offset_shift"].shape,
        }
    )


class Scaler(Component):
    """Compute ``sum += d * (psum + z * S) + (m * S << c)`` for a word of outputs a cycle.

    Parameters
    ----------
    params : HwParams
        The accelerator; with groups.

    Members
    -------
    i_valid, i : In(1), In(struct)
        What belongs to the accumulators `psums` of this cycle; the same place no sooner again
        than it is not `busy`.
    psums : In(array)
        Accumulators over one group.
    busy : Out(1)
        Something is inside.
    index, enable : In
        A place to read, while it is not busy.
    sums : Out(array)
        What was read one cycle before; kept while not enabled.

    Timing:      latency 8 cycles; a word of outputs a cycle; never stalls.
    Arithmetic:  exact below 2^47; two multiplications.
    Golden:      golden.numerics.accumulation.accumulate_groups
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(group_layout(p)),
                "psums": In(data.ArrayLayout(signed(p.acc_width), p.encode_lanes)),
                "busy": Out(1),
                "index": In(sum_index(p)),
                "enable": In(1),
                "sums": Out(data.ArrayLayout(signed(SUM_WIDTH), p.encode_lanes)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        row = data.ArrayLayout(signed(SUM_WIDTH), p.encode_lanes)
        m.submodules.memory = sums = memory.Memory(
            shape=row, depth=len(sum_index(p)), init=[], attrs=NO_COLLISIONS
        )
        write, read = sums.write_port(), sums.read_port()
        given = self.i
        pipe = Pipeline(m, Const(1))
        valid = pipe.valid(self.i_valid)
        index, first, spike_sum, zero, minimum, places = (
            pipe.enter(given[name])
            for name in ("index", "first", "spike_sum", "zero", "minimum", "offset_shift")
        )
        # What a group's accumulators can be: the rest of their bits is for whole rows.
        most = p.max_count * 128 * GROUPS[-1] << p.max_shift
        psum_width = min(most.bit_length() + 1, p.acc_width)
        whole_width = (most + (LARGEST_ZERO * p.max_count * GROUPS[-1] << p.max_shift)).bit_length()
        totals = []
        for lane in range(p.encode_lanes):
            scale = given.scales[lane]
            psum = pipe.enter(self.psums[lane][:psum_width].as_signed())
            offset = pipe.product(f"offset{lane}", pipe.enter(scale.offset), spike_sum)
            whole = pipe.stage(
                f"whole{lane}",
                signed(whole_width + 1),
                lambda psum, offset, zero: psum + Mux(zero, offset, 0),
                psum,
                offset,
                zero,
            )
            scaled = pipe.product(f"scaled{lane}", pipe.enter(scale.d), whole)
            part = pipe.stage(
                f"part{lane}",
                signed(SUM_WIDTH),
                lambda scaled, offset, minimum, places: scaled + Mux(minimum, offset << places, 0),
                scaled,
                offset,
                minimum,
                places,
            )
            before = pipe.enter(read.data[lane], part.stage - 1)
            held = pipe.stage(
                f"before{lane}",
                signed(SUM_WIDTH),
                lambda before, first: Mux(first, 0, before),
                before,
                first,
            )
            totals.append(
                pipe.stage(
                    f"total{lane}", signed(SUM_WIDTH), lambda part, held: part + held, part, held
                )
            )
        last, reads = totals[0].stage, totals[0].stage - 3
        m.d.comb += [
            self.busy.eq(pipe.any(valid, 0, last)),
            write.addr.eq(pipe.at(index, last)),
            write.en.eq(pipe.at(valid, last)),
            read.addr.eq(Mux(self.busy, pipe.at(index, reads), self.index)),
            read.en.eq(self.busy | self.enable),
            self.sums.eq(read.data),
        ]
        m.d.comb += [write.data[lane].eq(total.value) for lane, total in enumerate(totals)]
        return m
