"""Faults between the matrices, and in the divider that the units share."""

from tests.mutations.mutation import faults_in

__all__ = ["MUTATIONS"]

MUTATIONS = [
    *faults_in(
        "common/divide.py",
        "hw/common/test_divide.py",
        ("a quotient bit", "fits.eq(partial >= divisor)", "fits.eq(partial > divisor)"),
    ),
    *faults_in(
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
    *faults_in(
        "vector/elementwise.py",
        "hw/vector/test_unit.py::test_rotate",
        ("the sense of a rotation", "first - second if subtracts", "first + second if subtracts"),
    ),
    *faults_in(
        "vector/elementwise.py",
        "hw/vector/test_unit.py::test_swiglu",
        ("gates beyond the table", "Mux(beyond[2], one,", "Mux(0, one,"),
        ("negative gates", "Mux(gate[2] < 0, one - upper, upper)", "upper"),
        ("the rounding of the sigmoid", "(1 + exp(-i / 32)) + 0.5)", "(1 + exp(-i / 32)))"),
        ("the place within a segment", "rise.eq(step * place[1])", "rise.eq(step * place[0])"),
    ),
    *faults_in(
        "vector/norm.py",
        "hw/vector/test_unit.py::test_norm",
        (
            "squares beyond the last element",
            "Mux(self.inside[lane], x * x, 0)",
            "x * x",
        ),
        ("a row's own sum", "m.d.sync += self.squares.eq(0)", "m.d.sync += of_word.eq(0)"),
    ),
    *faults_in(
        "vector/softmax.py",
        "hw/vector/test_unit.py::test_softmax",
        (
            "scores beyond the last one",
            "self.inside[lane] & (self.a[lane] > best)",
            "self.a[lane] > best",
        ),
        ("powers beyond the last one", "Mux(inside[6][lane], powers[lane], 0)", "powers[lane]"),
        ("the rounding of a probability", "half.eq(1 << (self.places - 1)[:6])", "half.eq(0)"),
        ("the 2^12 of a weight", '(factor["exponent"] - _RAISED)', '(factor["exponent"])'),
        (
            "the address of a segment",
            "read.addr.eq(t[_PLACE_BITS:FRACTION_BITS])",
            "read.addr.eq(t[_PLACE_BITS + 1 : FRACTION_BITS])",
        ),
    ),
    *faults_in(
        "vector/softmax.py",
        "hw/vector/test_unit.py::test_softmax_of_scores_far_below_the_largest",
        ("powers that are too small", "whole[2] > EXP_BITS", "whole[2] > 4 * EXP_BITS"),
    ),
    *faults_in(
        "vector/argmax.py",
        "hw/vector/test_unit.py",
        ("the first of equal elements", "of_word > largest", "of_word >= largest"),
        (
            "elements beyond the last one",
            "self.inside[lane] & (self.a[lane] > best)",
            "self.a[lane] > best",
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
        ("the place of an index", "self.o_row.payload.first.eq(destination),", ""),
        (
            "a word that is not taken",
            "move.eq(~self.o.valid | self.o.ready)",
            "move.eq(1)",
        ),
    ),
]
