"""Nothing touches a board's memory before its CPU has trained it."""

import json

import numpy as np
import pytest

from hw.contract.presets import preset
from spikeloom.board import ways
from spikeloom.board.errors import BoardError
from spikeloom.board.training import Training
from spikeloom.board.ways import Bases, bases_of
from spikeloom.board.words import WordTransport

DONE, FAILED = 0xF000_1000, 0xF000_1004


class Bus(WordTransport):
    """A board that says so after a number of questions."""

    def __init__(self, questions, failed=0):
        super().__init__("bus", 0, 0)
        self.questions, self.failed = questions, failed

    def read_words(self, address, count):
        if address == FAILED:
            return np.array([self.failed], np.uint32)
        assert address == DONE
        self.questions -= 1
        return np.array([self.questions < 0], np.uint32)

    def write_words(self, address, words):
        raise AssertionError("nothing is to be written")

    def close(self):
        pass


class Clock:
    """Time that only sleeping makes pass."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def wait(bus, patience=30.0):
    clock = Clock()
    training = Training(done=DONE, failed=FAILED)
    training.wait(bus, patience, clock=clock, sleep=clock.sleep)
    return clock.now


def test_it_asks_until_the_dram_is_trained():
    assert wait(Bus(questions=0)) == 0
    assert wait(Bus(questions=5)) == pytest.approx(0.5)


def test_patience_ends():
    with pytest.raises(
        BoardError, match=r"bus: the DRAM is not trained after 2 s: see what the BI"
    ):
        wait(Bus(questions=1000), patience=2.0)


def test_a_failed_training_is_told():
    with pytest.raises(BoardError, match=r"bus: training the DRAM failed"):
        wait(Bus(questions=1, failed=1))


def test_a_board_whose_training_failed_is_given_free(monkeypatch):
    closed = []

    class Untrained(Bus):
        """A board that says so."""

        def close(self):
            closed.append(self.name)

    monkeypatch.setitem(ways._OPENERS, "mem", lambda *_: Untrained(questions=0, failed=1))
    bases = Bases(training=Training(done=DONE, failed=FAILED))
    for _ in range(2):
        with pytest.raises(BoardError, match="bus: training the DRAM failed"):
            with ways.open_transport("mem:bus", bases, preset("test"), 0):
                pass
    assert closed == ["bus", "bus"]


def csr(**other):
    return {
        "memories": {"spikeloom": {"base": 0x9000_0000}, "main_ram": {"base": 0x4000_0000}},
        "csr_registers": {
            "ddrctrl_init_done": {"addr": DONE, "size": 1, "type": "rw"},
            "ddrctrl_init_error": {"addr": FAILED, "size": 1, "type": "rw"},
        },
        "constants": {"config_cpu_type_vexriscv": None},
    } | other


def test_the_registers_are_those_of_the_memory_map(tmp_path):
    file = tmp_path / "csr.json"
    file.write_text(json.dumps(csr()))
    training = Training(done=DONE, failed=FAILED)
    assert bases_of(file) == Bases(registers=0x9000_0000, memory=0x4000_0000, training=training)


@pytest.mark.parametrize("without", ["constants", "csr_registers"])
def test_a_system_that_nobody_trains_is_not_waited_for(without):
    assert Training.of(csr(**{without: {}})) is None
