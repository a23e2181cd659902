"""How the memory behaves: what a request is known by, and what a report tells."""

import pytest

from sim.device import Timing

DDR3 = "litedram-ddr3"


def test_what_a_run_depends_on():
    assert Timing().asked("rtl") == {"latency": 60, "stalls": 0.0}
    assert Timing(stalls=0.1, seed=3).asked("cycle") == {"latency": 60, "stalls": 0.1, "seed": 3}
    first = {"latency": 60, "stalls": 0.0, "data_first": True}
    assert Timing(data_first=True).asked("rtl") == first
    assert Timing(memory=DDR3, seed=3).asked("cycle") == {"memory": DDR3}
    assert Timing(memory=DDR3).asked("functional") == {}


def test_a_report_tells_nothing_that_the_memory_has_not():
    ideal = {"latency": 60, "stalls": 0.0, "seed": 0, "memory": "ideal"}
    assert Timing().told() == ideal
    assert set(Timing().told("board").values()) == {None}
    assert set(Timing().told("board")) == set(ideal)
    assert Timing(data_first=True).told() == ideal | {"data_first": True}
    told = {"latency": None, "stalls": None, "seed": 0, "memory": DDR3}
    assert Timing(memory=DDR3).told() == told


def test_a_dram_has_its_own_order():
    with pytest.raises(ValueError) as caught:
        Timing(memory=DDR3, data_first=True)
    assert str(caught.value) == "data_first must be left out with the memory litedram-ddr3"


def test_an_unknown_memory_is_refused():
    with pytest.raises(ValueError) as caught:
        Timing(memory="ddr9")
    assert str(caught.value) == "memory must be one of ideal, litedram-ddr3, not 'ddr9'"
