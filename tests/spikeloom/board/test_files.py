"""Transports over files of the kernel, with plain files in their place."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hw.contract.presets import preset
from hw.contract.regs import offset
from spikeloom.board import mapped
from spikeloom.board.errors import BoardError
from spikeloom.board.mapped import Mapped, open_memory, open_uio
from spikeloom.board.overlay import Pynq
from spikeloom.board.ways import Bases, bases_of, open_transport
from spikeloom.board.xdma import Xdma

PAGE = 4096
BYTES = 1 << 16


def file(path: Path, length: int) -> Path:
    path.write_bytes(bytes(length))
    return path


def word_in(path: Path, at: int) -> int:
    return int.from_bytes(path.read_bytes()[at : at + 4], "little")


def test_registers_and_memory_are_mapped_where_they_lie(tmp_path, rng):
    registers, memory = file(tmp_path / "uio0", PAGE), file(tmp_path / "buffer", BYTES)
    data = rng.bytes(1001)
    with Mapped("m", registers, memory, memory_bytes=BYTES, memory_first=0x1000) as transport:
        transport.write(offset("STOP_TOKEN"), 0xDEAD_BEEF)
        assert transport.read(offset("STOP_TOKEN")) == 0xDEAD_BEEF
        transport.write_memory(0x1007, data)
        assert transport.read_memory(0x1007, 1001) == data
        with pytest.raises(BoardError, match="0xfff to 0x1003 are not within .* 0x1000 to 0x11000"):
            transport.read_memory(0xFFF, 4)
        with pytest.raises(BoardError, match="0x10ffe to 0x11002 are not within"):
            transport.write_memory(0x10FFE, bytes(4))
    assert word_in(registers, offset("STOP_TOKEN")) == 0xDEAD_BEEF
    assert memory.read_bytes()[7:1008] == data


def test_an_interrupt_is_waited_for_and_is_let_come_first(tmp_path):
    registers, memory = file(tmp_path / "uio0", PAGE), file(tmp_path / "buffer", BYTES)
    ours, theirs = os.pipe()
    seen, told = os.pipe()

    class Events(Mapped):
        """Its descriptor is read and written; a pipe has one for each."""

    transport = Events("m", registers, memory, memory_bytes=BYTES, events=ours)
    written = []
    original = os.write
    try:
        mapped.os.write = lambda descriptor, raw: written.append((descriptor, raw))
        assert not transport.wait(0.01)
        original(theirs, (7).to_bytes(4, "little"))
        assert transport.wait(5)
        assert not transport.wait(0.01)
        transport.write(offset("IRQ_STATUS"), 1)  # of a plain file: it has come while none listened
        assert transport.wait(0.01)
    finally:
        mapped.os.write = original
    assert written == [(ours, b"\1\0\0\0")] * 4
    transport.close()
    for descriptor in (theirs, seen, told):
        os.close(descriptor)


def test_without_an_interrupt_the_register_is_looked_at(tmp_path):
    registers, memory = file(tmp_path / "uio0", PAGE), file(tmp_path / "buffer", BYTES)
    with Mapped("m", registers, memory, memory_bytes=BYTES) as transport:
        assert not transport.wait(0.01)
        transport.write(offset("IRQ_STATUS"), 1)
        assert transport.wait(0)


@pytest.fixture
def udmabuf(tmp_path, monkeypatch):
    """Stand for the kernel's directory, of a buffer of 64 KiB at 0x7000_0000."""
    about = tmp_path / "class" / "udmabuf0"
    about.mkdir(parents=True)
    (about / "phys_addr").write_text("0x0000000070000000\n")
    (about / "size").write_text(f"{BYTES}\n")
    monkeypatch.setattr(mapped, "_UDMABUF", tmp_path / "class")
    file(tmp_path / "uio0", PAGE)
    return tmp_path


def opened(way, bases):
    """Open a way and close it."""
    with open_transport(way, bases, preset("test"), 0):
        pass


def test_a_udmabuf_says_where_it_is(udmabuf, monkeypatch):
    asked = []

    def stand_in(*arguments, **named):
        asked.append((arguments, named))
        return nullcontext("opened")

    monkeypatch.setattr(mapped, "Mapped", stand_in)
    rest = f"{udmabuf}/uio0,udmabuf0"
    bases = Bases(memory=0x6000_0000)
    with open_transport(f"uio:{rest}", bases, preset("test"), 0) as opened:
        assert opened == "opened"
    ((arguments, named),) = asked
    assert arguments == (f"uio:{rest}", udmabuf / "uio0", Path("/dev/udmabuf0"))
    assert os.close(named.pop("events")) is None
    assert named == {"registers_at": 0, "memory_bytes": BYTES, "memory_first": 0x1000_0000}


def test_a_udmabuf_below_the_accelerators_memory_is_refused(udmabuf):
    with pytest.raises(BoardError, match="udmabuf0 lies at 0x70000000, below what the accelerator"):
        open_uio(f"{udmabuf}/uio0,udmabuf0", 0, 0x8000_0000)
    with pytest.raises(BoardError, match="udmabuf1/phys_addr cannot be read .*: load u-dma-buf"):
        open_uio(f"{udmabuf}/uio0,udmabuf1", 0, 0)
    with pytest.raises(ValueError, match="a UIO device and a u-dma-buf are wanted, as in /dev/uio"):
        open_uio("/dev/uio0", 0, 0)


def test_physical_memory_has_both(tmp_path):
    device = file(tmp_path / "mem", 4 * PAGE)
    with open_memory(str(device), 3 * PAGE, PAGE, 2 * PAGE) as transport:
        transport.write(0, 1)
        transport.write_memory(PAGE, b"\x22")
    assert word_in(device, 3 * PAGE) == 1
    assert word_in(device, 2 * PAGE) == 0x22
    with pytest.raises(BoardError, match="nothing cannot be mapped at 0x0 .*: check that it is"):
        open_memory(str(tmp_path / "nothing"), 0, 0, PAGE)


def test_xdma_has_a_file_for_each_way(tmp_path, rng):
    paths = {kind: file(tmp_path / f"x_{kind}", BYTES) for kind in ("user", "h2c_0", "c2h_0")}
    data = rng.bytes(5_000)
    paths["c2h_0"].write_bytes(bytes(0x2010) + data)
    with Xdma(str(tmp_path / "x"), registers_base=0x100, memory_base=0x2000) as transport:
        transport.write(offset("STOP_TOKEN"), 0xDEAD_BEEF)
        assert transport.read(offset("STOP_TOKEN")) == 0xDEAD_BEEF
        transport.write_memory(0x30, data)
        assert transport.read_memory(0x10, len(data)) == data
        with pytest.raises(BoardError, match="x_c2h_0 fails at 0x4000 .nothing came.: check the"):
            transport.read_memory(0x2000, 4)
        assert not transport.wait(0.01)
        transport.write(offset("IRQ_STATUS"), 1)
        assert transport.wait(0.01)
    assert word_in(paths["user"], 0x100 + offset("STOP_TOKEN")) == 0xDEAD_BEEF
    assert paths["h2c_0"].read_bytes()[0x2030:][: len(data)] == data


def test_xdmas_events_are_waited_for(tmp_path):
    for kind in ("user", "h2c_0", "c2h_0"):
        file(tmp_path / f"x_{kind}", BYTES)
    os.mkfifo(tmp_path / "x_events_0")
    keep = os.open(tmp_path / "x_events_0", os.O_RDWR)
    with Xdma(str(tmp_path / "x")) as transport:
        assert not transport.wait(0.01)
        os.write(keep, bytes(4))
        assert transport.wait(5)
    os.close(keep)


def test_xdma_without_its_driver_is_told(tmp_path):
    with pytest.raises(BoardError, match="x_user cannot be opened .*: load the driver xdma"):
        Xdma(str(tmp_path / "x"))


class Buffer(np.ndarray):
    """What PYNQ allocates, as far as it is used here."""

    device_address = 0x1000_0000
    calls: list[str]

    def flush(self):
        """Note it."""
        self.calls.append("flush")

    def invalidate(self):
        """Note it."""
        self.calls.append("invalidate")

    def freebuffer(self):
        """Note it."""
        self.calls.append("free")


class Block:
    """A block of an overlay."""

    def __init__(self):
        self.values = {}

    def read(self, at):
        """Return a register."""
        return self.values.get(at, 0)

    def write(self, at, value):
        """Write a register."""
        self.values[at] = value


@pytest.fixture
def pynq(tmp_path, monkeypatch):
    """Stand for the package: an overlay with one block of ours, and a buffer."""
    fake = ModuleType("pynq")
    block, buffers = Block(), []

    class Overlay:
        def __init__(self, bitstream):
            assert Path(bitstream).is_file()
            self.ip_dict = fake.blocks
            self.spikeloom_0 = block

    def allocate(shape, dtype):
        buffers.append(np.full(shape, 0xEE, dtype).view(Buffer))
        buffers[-1].calls = []
        return buffers[-1]

    fake.Overlay, fake.allocate, fake.blocks = Overlay, allocate, {"spikeloom_0": {}, "dma": {}}
    monkeypatch.setitem(sys.modules, "pynq", fake)
    bitstream = file(tmp_path / "a.bit", 1)
    return fake, str(bitstream), block, buffers


def test_pynq_has_a_block_and_a_buffer_out_of_the_cache(pynq, rng):
    _, bitstream, block, buffers = pynq
    data = rng.bytes(100)
    with Pynq(bitstream, 0x1000_0000, BYTES) as transport:
        transport.write(0x20, 3)
        assert block.values == {0x20: 3} and transport.read(0x20) == 3
        transport.write_memory(0x40, data)
        assert buffers[0].calls == ["flush"]
        assert transport.read_memory(0x40, 100) == data
        assert buffers[0].calls == ["flush", "invalidate"]
        assert buffers[0][0x40:0xA4].tobytes() == data
    assert buffers[0].calls[-1] == "free"


def test_pynqs_faults_are_told(pynq, monkeypatch, tmp_path):
    fake, bitstream, _, buffers = pynq
    with pytest.raises(BoardError, match="PYNQ's memory lies at 0x10000000, and the accelerator"):
        Pynq(bitstream, 0, BYTES)
    assert buffers[0].calls == ["free"]
    fake.blocks = {"dma": {}}
    with pytest.raises(BoardError, match="must hold one block called spikeloom…, not dma: name it"):
        Pynq(bitstream, 0, BYTES)
    with pytest.raises(BoardError, match="there is no overlay .*b.bit: name its .bit file"):
        Pynq(str(tmp_path / "b.bit"), 0, BYTES)
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(BoardError, match="there is no PYNQ here: run it on a board with PYNQ"):
        Pynq(bitstream, 0, BYTES)


@pytest.mark.parametrize(
    "way", ["", "jtag", "simulation:1", "uartbone", "xdma", "simulation,uartbone:1"]
)
def test_a_way_that_is_none_is_refused(way):
    with pytest.raises(ValueError, match="the transport must be one of simulation; system; uartb"):
        opened(way, Bases())


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("uartbone:localhost:x", "a port is a number from 1 to 65535, not 'x'"),
        ("uartbone:localhost:0", "a port is a number from 1 to 65535, not 0"),
        ("litex:localhost:65536", "a port is a number from 1 to 65535, not 65536"),
        ("uartbone:localhost", "a host and its port are wanted, such as localhost:1234, not"),
        ("uartbone:/dev/ttyUSB0@fast", "a baud rate is a number from 1 to 100000000, not 'f"),
        ("uartbone:/dev/ttyS0@9999999999", "a baud rate is a number from 1 to 100000000, not '99"),
        ("litex:localhost:" + "1" * 5000, "a port is a number from 1 to 65535, not '1111"),
        ("litex::1", "a host and its port are wanted, such as localhost:1234, not ':1'"),
    ],
)
def test_what_a_way_lacks_is_told(way, said):
    with pytest.raises(ValueError, match=said):
        opened(way, Bases(registers=0, memory=0))


def test_where_things_lie_must_be_given_for_a_bus():
    with pytest.raises(ValueError, match="litex:h: where registers and memory lie on the bus must"):
        opened("litex:h", Bases(registers=0))


def test_litexs_csr_json_says_where_things_lie(tmp_path):
    path = tmp_path / "csr.json"
    path.write_text(
        '{"memories": {"spikeloom": {"base": 2415919104, "size": 4096},'
        ' "main_ram": {"base": 1073741824, "size": 536870912}}}'
    )
    bases = Bases(registers=0x9000_0000, memory=0x4000_0000, memory_bytes=512 << 20)
    assert bases_of(path) == bases
    for wrong in ('"0x90000000"', "-4", "2415919105", "99999999999999", "1e30", "true"):
        path.write_text(
            f'{{"memories": {{"spikeloom": {{"base": 0}}, "main_ram": {{"base": {wrong}}}}}}}'
        )
        with pytest.raises(ValueError, match="is no multiple of 4 below 2"):
            bases_of(path)
    path.write_text('{"memories": {"main_ram": {"base": 1073741824}}}')
    with pytest.raises(ValueError, match="csr.json does not say where spikeloom and main_ram lie"):
        bases_of(path)
