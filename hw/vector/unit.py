"""The vector unit: what is done with vectors between the matrices, memory to memory."""

from functools import reduce
from operator import or_

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.common.divide import BITS_A_CYCLE, Divider
from hw.common.stream import Buffer, Register
from hw.contract.isa import INSTRUCTIONS, VECTOR_PASSES, VECTOR_UNARY, Opcode, VectorOp
from hw.contract.params import VECTOR_WIDTH, HwParams
from hw.memory.port import segment_layout
from hw.memory.write import row_layout
from hw.vector.argmax import Argmax
from hw.vector.elementwise import Adder, Rotator, SwiGlu
from hw.vector.lanes import MultiplyingLanes, word_layout
from hw.vector.multiply import Multipliers
from hw.vector.norm import Norm, squares_width
from hw.vector.softmax import Softmax, total_width

__all__ = ["VectorUnit"]

_ROOT_WIDTH = 32
# Of 2^48 / root and 2^33 / total, the 18 digits that can be other than zero: what the division of
# the places before them leaves, and how long theirs takes.
_FACTOR_REMAINDER = 1 << 48 - 18
_RECIPROCAL_REMAINDER = 1 << 33 - 18
_SHORT_STEPS = 18 // BITS_A_CYCLE
_RECIPROCAL_DIVISOR_WIDTH = 17


class VectorUnit(Component):
    """Execute VECTOR: row by row, in as many passes over the row as the operation needs.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        A VECTOR instruction, in range; its length and addresses have what the position and the
        token add to them.
    o_a, i_a, o_b, i_b : Out(stream), In(stream)
        The operands' segments, and their words.
    o_row, o : Out(stream)
        Rows for the write port, and their words.
    busy : Out(1)
        An instruction is being executed.

    Timing:      a word a cycle and pass. Besides, a row takes a cycle, 2 cycles and the pipeline's
                 latency for each pass but the last; RMSNorm 100 cycles or so for its factor,
                 softmax 30. Busy until the last result has left.
    Arithmetic:  see the pipelines; division and square root are serial and rounded down.
    Golden:      golden.numerics.vector
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        segments, words = stream.Signature(segment_layout(p)), stream.Signature(p.axi_data_width)
        super().__init__(
            {
                "i": In(stream.Signature(INSTRUCTIONS[Opcode.VECTOR])),
                "o_a": Out(segments),
                "i_a": In(words),
                "o_b": Out(segments),
                "i_b": In(words),
                "o_row": Out(stream.Signature(row_layout(p))),
                "o": Out(words),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        lanes, byte_log2 = p.encode_lanes, exact_log2(p.axi_bytes)
        lanes_log2 = exact_log2(lanes)
        job = Signal(INSTRUCTIONS[Opcode.VECTOR], reset_less=True)
        operation = job.operation.as_value()
        accept = Signal()
        last_element = Signal(len(job.elements))  # of a row
        last_group = last_element[lanes_log2:]
        words = Signal(len(job.elements))
        passes = Signal(2, name="passes_of_row")
        binary = Signal()
        m.d.comb += [
            words.eq(last_group + 1),
            passes.eq(1),
            binary.eq(~operation.matches(*VECTOR_UNARY)),
        ]
        with m.Switch(job.operation):
            for name, count in VECTOR_PASSES.items():
                with m.Case(name):
                    m.d.comb += passes.eq(count)
        with m.If(accept):
            m.d.sync += [job.eq(self.i.payload), last_element.eq(self.i.payload.elements - 1)]

        row = Signal.like(job.rows)
        group = Signal.like(words)
        current_pass = Signal(2)
        last_row, last_pass = row == job.rows - 1, current_pass == passes - 1
        self._request(m, job, accept, words, passes, binary)

        # The pipelines: all see the words, one is meant.
        m.submodules.adder = adder = Adder(p)
        m.submodules.norm = norm = Norm(p)
        m.submodules.rotator = rotator = Rotator(p)
        m.submodules.swiglu = swiglu = SwiGlu(p)
        m.submodules.softmax = softmax = Softmax(p)
        m.submodules.argmax = argmax = Argmax(p)
        m.submodules.multipliers = multipliers = Multipliers(p)
        pipelines = {
            adder: (VectorOp.COPY, VectorOp.ADD),
            norm: (VectorOp.NORM,),
            rotator: (VectorOp.ROTATE,),
            swiglu: (VectorOp.SWIGLU,),
            softmax: (VectorOp.SOFTMAX,),
        }
        scores = (job.operation == VectorOp.SOFTMAX) & (current_pass == 0)
        take = Signal()
        move = Signal()
        clear = Signal()
        inside = Signal(lanes)
        found = Signal()  # the index leaves
        idle = Signal()
        # Words that leave wait here, so that what moves the pipelines is a register.
        m.submodules.leaving = leaving = Buffer(self.o.payload.shape())
        connect(m, leaving.o, flipped(self.o))
        m.d.comb += [
            inside.eq(
                Cat(
                    (group != last_group) | (lane <= last_element[:lanes_log2])
                    for lane in range(lanes)
                )
            ),
            move.eq(leaving.i.ready),
            adder.copies.eq(job.operation == VectorOp.COPY),
            norm.sums.eq(~last_pass),
            softmax.sums.eq(~last_pass),
            softmax.largest.eq(argmax.largest),
            softmax.steepness.eq(job.constant),
            argmax.group.eq(group),
            argmax.i_valid.eq(take & ((job.operation == VectorOp.ARGMAX) | scores)),
        ]
        index = Signal(VECTOR_WIDTH)
        m.d.comb += index.eq(argmax.index)
        results = [Mux(found, Cat(index for _ in range(lanes)), 0)]
        for pipeline, operations in pipelines.items():
            meant = take & operation.matches(*operations)
            m.d.comb += pipeline.i_valid.eq(meant & ~scores if pipeline is softmax else meant)
            results.append(Mux(pipeline.o_valid, pipeline.o.as_value(), 0))
        for pipeline in (*pipelines, argmax):
            m.d.comb += [
                pipeline.a.eq(word_layout(p)(self.i_a.payload)),
                pipeline.b.eq(word_layout(p)(self.i_b.payload)),
                pipeline.move.eq(move),
            ]
        gathering = (norm, softmax, argmax)
        for pipeline in gathering:
            m.d.comb += [pipeline.inside.eq(inside), pipeline.clear.eq(clear)]
        leaves = Cat(pipeline.busy for pipeline in pipelines).any()
        gathers = Cat(pipeline.gathers for pipeline in gathering).any()
        multiplying = [some for some in pipelines if isinstance(some, MultiplyingLanes)]
        m.d.comb += multipliers.move.eq(move)
        m.d.comb += [pipeline.products.eq(multipliers.products) for pipeline in multiplying]
        with m.Switch(job.operation):
            for pipeline in multiplying:
                with m.Case(*pipelines[pipeline]):
                    m.d.comb += multipliers.factors.eq(pipeline.factors)
        m.d.comb += [
            leaving.i.valid.eq(Cat(*(pipeline.o_valid for pipeline in pipelines), found).any()),
            leaving.i.payload.eq(reduce(or_, results)),
        ]

        # Numbers of a row that its last pass needs.
        m.submodules.divider = divider = Divider(
            squares_width(p), max(_ROOT_WIDTH, len(job.elements))
        )
        divide = divider.i.payload
        mean = Signal(2 * _ROOT_WIDTH)  # M, and its digits that the root has not seen
        remainder = Signal(_ROOT_WIDTH + 2)
        root = Signal(_ROOT_WIDTH)
        digits = Signal(range(_ROOT_WIDTH))
        total = Signal(total_width(p))
        trial = Signal(_ROOT_WIDTH + 2)
        rest = Signal(_ROOT_WIDTH + 2)
        m.d.comb += [trial.eq(Cat(Const(1, 2), root)), rest.eq(Cat(mean[-2:], remainder))]

        destination = Signal.like(job.destination)
        # A row of results waits for the write port while its words are made.
        m.submodules.rows = rows = Register(row_layout(p))
        connect(m, rows.o, flipped(self.o_row))
        row_of_results = rows.i.payload
        m.d.comb += [
            row_of_results.address.eq(destination >> byte_log2),
            row_of_results.bytes.eq(job.elements << exact_log2(VECTOR_WIDTH // 8)),
        ]
        needs_b = binary & last_pass
        finds = job.operation == VectorOp.ARGMAX
        m.d.comb += self.busy.eq(~idle | leaving.o.valid)
        with m.FSM(name="phase"):
            with m.State("IDLE"):
                m.d.comb += [idle.eq(1), self.i.ready.eq(1), accept.eq(self.i.valid)]
                m.d.sync += [row.eq(0), destination.eq(self.i.payload.destination)]
                with m.If(self.i.valid):
                    m.next = "ROW"
            with m.State("ROW"):
                m.d.comb += clear.eq(1)
                m.d.sync += [current_pass.eq(0), group.eq(0)]
                with m.If((passes != 1) | finds):
                    m.next = "PASS"
                with m.Else():
                    m.d.comb += rows.i.valid.eq(1)
                    with m.If(rows.i.ready):
                        m.next = "PASS"
            with m.State("OFFER"):
                m.d.comb += rows.i.valid.eq(1)
                with m.If(rows.i.ready):
                    m.next = "PASS"
            with m.State("PASS"):
                m.d.comb += [
                    take.eq(self.i_a.valid & (self.i_b.valid | ~needs_b) & move),
                    self.i_a.ready.eq(take),
                    self.i_b.ready.eq(take & needs_b),
                ]
                with m.If(take):
                    m.d.sync += group.eq(group + 1)
                    with m.If(group == last_group):
                        m.next = "FLUSH"
                        with m.If(last_pass & ~last_row & ~finds):
                            m.d.sync += [row.eq(row + 1), destination.eq(destination + job.stride)]
                            m.next = "ROW"
            with m.State("FLUSH"):
                with m.If(~gathers & ~(leaves & last_pass)):
                    m.d.sync += [group.eq(0), current_pass.eq(current_pass + 1)]
                    m.next = "PASS"
                    with m.If(finds):
                        m.next = "INDEX"
                    with m.Elif(last_pass):
                        m.next = "IDLE"
                    with m.Elif(job.operation == VectorOp.NORM):
                        m.next = "MEAN"
                    with m.Elif(current_pass == 1):
                        m.d.sync += [total.eq(softmax.total), softmax.shift.eq(8)]
                        m.next = "LEVEL"

            # Argmax: a number of its own.
            with m.State("INDEX"):
                m.d.comb += [
                    row_of_results.first.eq(destination),
                    row_of_results.bytes.eq(VECTOR_WIDTH // 8),
                ]
                m.d.comb += rows.i.valid.eq(1)
                with m.If(rows.i.ready):
                    m.next = "NUMBER"
            with m.State("NUMBER"):
                m.d.comb += found.eq(1)
                with m.If(move):
                    m.d.sync += [row.eq(row + 1), destination.eq(destination + job.stride)]
                    m.next = "ROW"
                    with m.If(last_row):
                        m.next = "IDLE"

            # RMSNorm: the mean square, its root, the factor.
            with m.State("MEAN"):
                m.d.comb += [
                    divider.i.valid.eq(1),
                    divide.dividend.eq(norm.squares),
                    divide.steps.eq(divider.steps),
                    divide.divisor.eq(job.elements),
                    divider.o.ready.eq(1),
                ]
                m.d.sync += [
                    mean.eq(divider.o.payload + job.constant),
                    norm.shift.eq(_ROOT_WIDTH - 1),
                ]
                with m.If(divider.o.valid):
                    m.next = "NORMALIZE"
            with m.State("NORMALIZE"):
                m.d.sync += [remainder.eq(0), root.eq(0), digits.eq(_ROOT_WIDTH - 1)]
                with m.If(mean[-2:].any()):
                    m.next = "ROOT"
                with m.Else():
                    m.d.sync += [mean.eq(mean << 2), norm.shift.eq(norm.shift - 1)]
            with m.State("ROOT"):
                fits = rest >= trial
                m.d.sync += [
                    mean.eq(mean << 2),
                    remainder.eq(Mux(fits, rest - trial, rest)),
                    root.eq(Cat(fits, root)),
                    digits.eq(digits - 1),
                ]
                with m.If(digits == 0):
                    m.next = "FACTOR"
            with m.State("FACTOR"):
                m.d.comb += [
                    divider.i.valid.eq(1),
                    divide.remainder.eq(_FACTOR_REMAINDER),
                    divide.steps.eq(_SHORT_STEPS),
                    divide.divisor.eq(root),
                    divider.o.ready.eq(1),
                ]
                m.d.sync += norm.factor.eq(divider.o.payload)
                with m.If(divider.o.valid):
                    m.next = "OFFER"

            # Softmax: the sum's reciprocal.
            with m.State("LEVEL"):
                with m.If(total[_RECIPROCAL_DIVISOR_WIDTH:].any()):
                    m.d.sync += [total.eq(total >> 1), softmax.shift.eq(softmax.shift + 1)]
                with m.Else():
                    m.next = "RECIPROCAL"
            with m.State("RECIPROCAL"):
                m.d.comb += [
                    divider.i.valid.eq(1),
                    divide.remainder.eq(_RECIPROCAL_REMAINDER),
                    divide.steps.eq(_SHORT_STEPS),
                    divide.divisor.eq(total),
                    divider.o.ready.eq(1),
                ]
                m.d.sync += softmax.reciprocal.eq(divider.o.payload)
                with m.If(divider.o.valid):
                    m.next = "OFFER"
        return m

    def _request(self, m: Module, job, accept, words, passes, binary) -> None:
        """Ask for the operands of all rows and passes, ahead of their use."""
        byte_log2 = exact_log2(self._params.axi_bytes)
        active = Signal()
        asked_a = Signal()
        asked_b = Signal()
        row = Signal.like(job.rows, name="asked_row")
        number = Signal(2, name="asked_pass")
        a = Signal.like(job.a, name="address_a")
        b = Signal.like(job.b, name="address_b")
        last_pass = number == passes - 1
        a_done = Signal()
        b_done = Signal()
        m.d.comb += [
            self.o_a.valid.eq(active & ~asked_a),
            self.o_a.payload.address.eq(a >> byte_log2),
            self.o_a.payload.words.eq(words),
            self.o_b.valid.eq(active & last_pass & binary & ~asked_b),
            self.o_b.payload.address.eq(b >> byte_log2),
            self.o_b.payload.words.eq(words),
            a_done.eq(asked_a | self.o_a.ready),
            b_done.eq(asked_b | self.o_b.ready | ~(last_pass & binary)),
        ]
        with m.If(active):
            m.d.sync += [asked_a.eq(a_done), asked_b.eq(b_done)]
            with m.If(a_done & b_done):
                m.d.sync += [asked_a.eq(0), asked_b.eq(0), number.eq(number + 1)]
                with m.If(last_pass):
                    m.d.sync += [
                        number.eq(0),
                        row.eq(row + 1),
                        a.eq(a + job.stride),
                        b.eq(Mux(job.b_same, b, b + job.stride)),
                    ]
                    with m.If(row == job.rows - 1):
                        m.d.sync += active.eq(0)
        with m.If(accept):
            m.d.sync += [
                active.eq(1),
                row.eq(0),
                number.eq(0),
                a.eq(self.i.payload.a),
                b.eq(self.i.payload.b),
            ]
