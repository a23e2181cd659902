"""Faults in how the units are put together."""

from tests.mutations.mutation import faults_in

__all__ = ["MUTATIONS"]

_PROGRAMS = "e2e/test_rtl_shapes.py::test_random_programs"

MUTATIONS = [
    *faults_in(
        "top.py",
        _PROGRAMS,
        ("the length of a burst", "len.eq(burst.words - 1)", "len.eq(burst.words)"),
        (
            "END's wait for what is being written",
            "                | write.busy\n",
            "",
        ),
    ),
    *faults_in(
        "top.py",
        "e2e/test_rtl_queues.py",
        (
            "an ENCODE that passes the MATMULs before it",
            "instruction.ready.eq(encoder.i.ready & other.ready)",
            "instruction.ready.eq(encoder.i.ready)",
        ),
    ),
    *faults_in(
        "top.py",
        "e2e/test_aborts.py::test_hundreds_of_ends",
        ("the epoch of requests", "Cat(client, guard.epoch)", "Cat(client, Const(0, 2))"),
    ),
    *faults_in(
        "top.py",
        "e2e/test_rtl_errors.py",
        ("the responses of a failing memory", "_OKAY_MASK = 0b10", "_OKAY_MASK = 0b00"),
    ),
]
