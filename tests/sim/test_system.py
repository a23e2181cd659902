"""The simulated system on a chip, over the bridge that a board would have."""

import socket

import numpy as np
import pytest

from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from hw.contract.regs import offset
from sim.errors import ToolError
from sim.rtl import litedram as memories
from sim.system.build import build_system
from sim.system.system import System

PARAMS = preset("test")
REGISTERS, MEMORY = 0x9000_0000, 0x4000_0000


class Bridge:
    """UARTBone, as LiteX documents it."""

    def __init__(self, system: System) -> None:
        self._socket = socket.create_connection((system.host, system.port), 60)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _command(self, what: int, count: int, address: int) -> bytes:
        return bytes([what, count]) + (address // 4).to_bytes(4, "big")

    def write(self, address: int, words: list[int]) -> None:
        raw = np.array(words, ">u4").tobytes()
        self._socket.sendall(self._command(1, len(words), address) + raw)

    def read(self, address: int, count: int) -> list[int]:
        self._socket.sendall(self._command(2, count, address))
        raw = b""
        while len(raw) < 4 * count:
            raw += self._socket.recv(4 * count - len(raw))
        return np.frombuffer(raw, ">u4").tolist()


@pytest.fixture(scope="module")
def system():
    pytest.importorskip("litedram", reason="LiteX is not installed: pip install 'spikeloom[soc]'")
    with System(PARAMS) as started:
        yield started


@pytest.mark.full
def test_the_accelerator_is_behind_the_bridge(system):
    with Bridge(system) as bridge:
        words = bridge.read(REGISTERS + offset("ID0"), 8)
    assert "".join(f"{word:08x}" for word in reversed(words)) == fingerprint(PARAMS)


@pytest.mark.full
def test_the_dram_keeps_what_is_written_between_connections(system, rng):
    words = rng.integers(0, 1 << 32, 200).tolist()
    first = MEMORY + 4 * int(rng.integers(1 << 20))
    with Bridge(system) as bridge:
        bridge.write(first, words)
        bridge.write(first + 4 * 100, [7])
    with Bridge(system) as bridge:
        assert bridge.read(first, 200) == [*words[:100], 7, *words[101:]]


def test_without_litex_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(memories.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ToolError) as caught:
        build_system(PARAMS)
    want = "the simulated system needs the Python package litedram: pip install 'spikeloom[soc]'"
    assert str(caught.value) == want
