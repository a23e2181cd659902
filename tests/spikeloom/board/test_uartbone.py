"""UARTBone and LiteX's server, over sockets, with LiteX's own host tools on either side."""

import socket
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.contract.presets import preset
from hw.contract.regs import offset
from spikeloom.board.board import Board
from spikeloom.board.errors import BoardError
from spikeloom.board.layer import run_layer
from spikeloom.board.litex import LitexServer
from spikeloom.board.uartbone import SerialLine, SocketLine, UartBone
from spikeloom.board.words import WordTransport
from tests.spikeloom.board.bridge import MEMORY, REGISTERS, bridged
from tests.spikeloom.board.fake import FakeBoard

BYTES = 1 << 14


@pytest.fixture
def fake():
    return FakeBoard(preset("test"), BYTES)


def uartbone(bridge) -> UartBone:
    return UartBone(SocketLine("127.0.0.1", bridge.port), "a bridge", REGISTERS, MEMORY)


def test_registers_and_memory_lie_where_they_must(fake, rng):
    data = rng.bytes(5000)
    with bridged(fake) as bridge, uartbone(bridge) as transport:
        assert transport.read(offset("ID3")) == fake.registers["ID3"]
        transport.write(offset("STOP_TOKEN"), 0x1234_5678)
        transport.write_memory(0x104, data)
        assert transport.read_memory(0x104, len(data)) == data
        assert transport.read_memory(0x104, 0) == b""
    assert fake.registers["STOP_TOKEN"] == 0x1234_5678
    assert fake.memory[0x104 : 0x104 + len(data)].tobytes() == data
    assert {what for what, _, _ in bridge.log} == {1, 2}
    assert [entry for entry in bridge.log if entry[1] > 1][:5] == [
        (1, 255, MEMORY + 0x104 + 1020 * i) for i in range(4)
    ] + [(1, 230, MEMORY + 0x104 + 4080)]


def test_a_layer_runs_over_a_bridge(case):
    fake = FakeBoard(case.compiled.params, case.compiled.memory_bytes)
    with bridged(fake) as bridge, uartbone(bridge) as transport, Board(transport) as board:
        assert run_layer(board, case)[1].failures == []


def test_a_load_that_loses_its_connection_is_told_and_goes_on_over_another(case):
    fake = FakeBoard(case.compiled.params, case.compiled.memory_bytes)
    with bridged(fake) as bridge:
        bridge.closes_after = 60
        with uartbone(bridge) as transport, Board(transport) as board:
            with pytest.raises(BoardError, match="is lost .*: connect again; what was under way"):
                board.load(case.compiled)
        with uartbone(bridge) as transport, Board(transport) as board:
            assert run_layer(board, case)[1].failures == []


def test_the_rest_of_another_s_answer_is_dropped(fake):
    with bridged(fake) as bridge:
        bridge.left = bytes(range(1, 200))
        with uartbone(bridge) as transport:
            assert transport.read(offset("VERSION")) == fake.registers["VERSION"]


def test_nothing_at_a_port_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(BoardError, match=f"nothing answers at 127.0.0.1:{port} .*refused"):
        SocketLine("127.0.0.1", port)


def test_a_silent_port_is_told_before_a_busy_simulation_would_be(monkeypatch):
    monkeypatch.setattr("spikeloom.board.uartbone._FIRST_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = SocketLine("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        late = threading.Timer(1.0, peer.sendall, (b"abcd",))
        late.start()
        with pytest.raises(BoardError, match="is lost .*timed out"):
            line.take(4)
        late.join()
        line.close()
        peer.close()


def test_one_that_has_answered_is_waited_for(monkeypatch):
    monkeypatch.setattr("spikeloom.board.uartbone._FIRST_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = SocketLine("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        peer.sendall(b"abcd")
        assert line.take(4) == b"abcd"
        later = threading.Timer(0.6, peer.sendall, (b"efgh",))
        later.start()
        assert line.take(4) == b"efgh"
        later.join()
        line.close()
        peer.close()


def test_a_port_that_never_falls_silent_is_told(monkeypatch):
    monkeypatch.setattr("spikeloom.board.uartbone._SETTLE_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = SocketLine("127.0.0.1", server.getsockname()[1])
        other, _ = server.accept()
        other.sendall(bytes(1 << 20))
        talk = threading.Thread(target=talk_on, args=(other,))
        talk.start()
        with pytest.raises(BoardError, match="speaks without being asked"):
            line.settle()
        line.close()
        talk.join()


def talk_on(peer: socket.socket) -> None:
    """Send for two seconds, or until nobody listens."""
    end = time.monotonic() + 2
    with peer, suppress(OSError):
        while time.monotonic() < end:
            peer.sendall(b"x")
            time.sleep(0.001)


def test_a_serial_port_that_is_not_there_is_told():
    pytest.importorskip("serial")
    with pytest.raises(BoardError, match="/dev/nothing cannot be used .*: end what else"):
        SerialLine("/dev/nothing", 115_200)


def test_a_serial_line_takes_what_a_pseudo_terminal_gives_and_tells_of_silence(monkeypatch):
    pytest.importorskip("serial")
    import os
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    monkeypatch.setattr("spikeloom.board.uartbone._SECONDS", 0.05)
    line = SerialLine(os.ttyname(theirs), 115_200)
    line.send(b"\x02\x01")
    assert os.read(ours, 2) == b"\x02\x01"
    os.write(ours, b"abcd")
    assert line.take(4) == b"abcd"
    os.write(ours, b"ab")
    with pytest.raises(BoardError, match="gave 2 of 4 bytes in 0.05 s: check the bitstream"):
        line.take(4)
    with pytest.raises(BoardError, match="cannot be used .*: end what else has it, or name anoth"):
        SerialLine(os.ttyname(theirs), 115_200)  # it would take the first one's answers
    line.close()


class Words(WordTransport):
    """A bus in a list, which notes what is written."""

    def __init__(self) -> None:
        super().__init__("words", 0, 0)
        self.words = np.arange(64, dtype=np.uint32) * 0x0101_0101

    def read_words(self, address, count):
        """Return words."""
        assert address % 4 == 0
        return self.words[address // 4 :][:count].copy()

    def write_words(self, address, words):
        """Write words."""
        assert address % 4 == 0 and words.dtype == np.uint32
        self.words[address // 4 : address // 4 + len(words)] = words


@given(st.integers(0, 200), st.binary(max_size=56))
def test_any_bytes_at_any_address_are_written_and_nothing_else(address, data):
    transport = Words()
    expected = bytearray(transport.words.tobytes())
    expected[address : address + len(data)] = data
    transport.write_memory(address, data)
    assert transport.words.tobytes() == bytes(expected)
    assert transport.read_memory(address, len(data)) == data


def test_litexs_own_client_speaks_with_our_bridge(fake):
    comm_uart = pytest.importorskip("litex.tools.remote.comm_uart")
    with bridged(fake) as bridge:
        comm = comm_uart.CommUART(f"socket://127.0.0.1:{bridge.port}")
        comm.write(MEMORY + 8, [1, 2, 0xFFFF_FFFF])
        assert comm.read(MEMORY + 8, 3) == [1, 2, 0xFFFF_FFFF]
        assert comm.read(REGISTERS + offset("VERSION")) == fake.registers["VERSION"]
        comm.close()


@pytest.fixture
def server(case):
    """Return the fake board that LiteX's server has behind a UARTBone, and the server's port."""
    comm_uart = pytest.importorskip("litex.tools.remote.comm_uart")
    litex_server = pytest.importorskip("litex.tools.litex_server")
    fake = FakeBoard(case.compiled.params, case.compiled.memory_bytes)
    with bridged(fake) as bridge:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        comm = comm_uart.CommUART(f"socket://127.0.0.1:{bridge.port}")
        serving = litex_server.RemoteServer(comm, "127.0.0.1", port)
        serving.open()
        threading.Thread(target=serving._serve_thread, daemon=True).start()
        yield SimpleNamespace(fake=fake, port=port, bridge=bridge)
        serving.close()


def test_a_layer_runs_behind_litexs_server(case, server):
    with (
        LitexServer("127.0.0.1", server.port, REGISTERS, MEMORY) as transport,
        Board(transport) as board,
    ):
        assert run_layer(board, case)[1].failures == []


def test_no_answer_of_litexs_server_is_no_zeros():
    pytest.importorskip("litex.tools.litex_client")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        def hang_up() -> None:
            connection, _ = silent.accept()
            connection.sendall(b"CommUART:127.0.0.1:1234")
            connection.recv(1 << 16)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with LitexServer("127.0.0.1", port, REGISTERS, MEMORY) as transport:
            with pytest.raises(BoardError, match=f"litex:127.0.0.1:{port} gave no answer: look at"):
                transport.read(0)
        thread.join()
    with pytest.raises(BoardError, match="nothing answers at 127.0.0.1:.* start litex_server"):
        LitexServer("127.0.0.1", port, REGISTERS, MEMORY)
