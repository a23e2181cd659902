"""Faults between the matrices, and in the divider that the units share."""

from tests.mutations.mutation import faults_in

__all__ = ["MUTATIONS"]

MUTATIONS = [
    *faults_in(
        "common/divide.py",
        "hw/common/test_divide.py",
        ("a quotient digit", "fits.eq(left >= 0)", "fits.eq(left > 0)"),
    ),
    *faults_in(
        "common/fixed.py",
        "hw/common/test_fixed.py",
        ("halves of negative numbers", "Mux(value < 0, half - 1, half)", "half"),
        ("the largest element", "~_HIGHEST, _HIGHEST)", "~_HIGHEST, _HIGHEST - 1)"),
        ("the smallest element", "Mux(value[-1], ~_HIGHEST,", "Mux(value[-1], -_HIGHEST,"),
        ("what an element holds", "above.all() | ~above.any()", "above.all() | ~above[1:].any()"),
    ),
    *faults_in(
        "common/pipeline.py",
        "hw/common/test_pipeline.py",
        ("the signs of pieces", "last.as_signed() if value.shape().signed else last", "last"),
        ("the middle of a product", "(more[0] << width)", "(more[0] << width - 1)"),
    ),
    *faults_in(
        "vector/elementwise.py",
        "hw/vector/test_unit.py::test_rotate",
        ("the sense of a rotation", "add if lane & 1 else sub", "sub if lane & 1 else add"),
    ),
    *faults_in(
        "vector/elementwise.py",
        "hw/vector/test_unit.py::test_swiglu",
        ("gates beyond the table", "Mux(beyond, one,", "Mux(0, one,"),
        ("negative gates", "Mux(gate < 0, one - upper, upper)", "upper"),
        ("the rounding of the sigmoid", "(1 + exp(-i / 32)) + 0.5)", "(1 + exp(-i / 32)))"),
        ("the place within a segment", "mul, step, place)", "mul, step, step)"),
    ),
    *faults_in(
        "vector/norm.py",
        "hw/vector/test_unit.py::test_norm",
        (
            "squares beyond the last element",
            "Mux(inside[lane], square, 0)",
            "square",
        ),
        ("a row's own sum", "m.d.sync += self.squares.eq(0)", "m.d.sync += self.squares[0].eq(0)"),
    ),
    *faults_in(
        "vector/softmax.py",
        "hw/vector/test_unit.py::test_softmax",
        ("powers beyond the last one", "Mux(inside[lane], power, 0)", "power"),
        ("the rounding of a probability", "(shared + 1) >> 1", "shared >> 1"),
        ("the 2^12 of a weight", "Cat(Const(0, _RAISED + 1), weight)", "Cat(Const(0, 1), weight)"),
        (
            "the address of a segment",
            "t.value[_PLACE_BITS:FRACTION_BITS]",
            "t.value[_PLACE_BITS + 1 : FRACTION_BITS]",
        ),
    ),
    *faults_in(
        "vector/softmax.py",
        "hw/vector/test_unit.py::test_softmax_of_scores_far_below_the_largest",
        ("powers that are too small", "whole > EXP_BITS", "whole > 4 * EXP_BITS"),
    ),
    *faults_in(
        "vector/argmax.py",
        "hw/vector/test_unit.py",
        (
            "the first of equal elements",
            "of_word.value > self.largest",
            "of_word.value >= self.largest",
        ),
        (
            "elements beyond the last one",
            "inside & (right > left)",
            "right > left",
        ),
    ),
    *faults_in(
        "vector/unit.py",
        "hw/vector/test_unit.py",
        (
            "the gains that all rows share",
            "Mux(job.b_same, b, b + job.stride)",
            "b + job.stride",
        ),
        ("b in the last pass only", "self.i_b.ready.eq(take & needs_b)", "self.i_b.ready.eq(take)"),
        ("what RMSNorm adds", "divider.o.payload + job.constant", "divider.o.payload + 1"),
        ("the place of an index", "row_of_results.first.eq(destination),", ""),
        (
            "a word that is not taken",
            "move.eq(leaving.i.ready)",
            "move.eq(1)",
        ),
    ),
]
