"""The queue before LiteEth's IP receiver: packets come through as they are, wrong ones do not."""

import random

import pytest

pytest.importorskip("liteeth", reason="LiteX is not installed: pip install 'spikeloom[soc]'")

from liteeth.core import ip
from migen import run_simulation

from hw.soc.boards import _queue_before_ip

MAC, IP, SENDER = 0x10E2D5000000, 0xC0A80132, 0xC0A80101
UDP = 17


def packet(payload: bytes, wrong: int = 0) -> bytes:
    """Return an IP packet to us; `wrong` spoils its checksum."""
    header = bytearray(b"\x45\x00")
    header += (20 + len(payload)).to_bytes(2, "big") + bytes(4) + bytes([64, UDP, 0, 0])
    header += SENDER.to_bytes(4, "big") + IP.to_bytes(4, "big")
    total = sum(int.from_bytes(header[i : i + 2], "big") for i in range(0, 20, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = (~total & 0xFFFF ^ wrong).to_bytes(2, "big")
    return bytes(header) + payload


def give(dut, packets, stalls):
    """Drive the receiver's sink."""
    for raw in packets:
        words = [raw[i : i + 4] for i in range(0, len(raw), 4)]
        for i, word in enumerate(words):
            while stalls.random() < 0.3:
                yield
            yield dut.sink.data.eq(int.from_bytes(word, "little"))
            yield dut.sink.last.eq(i == len(words) - 1)
            yield dut.sink.last_be.eq(8 if i == len(words) - 1 else 0)
            yield dut.sink.valid.eq(1)
            yield
            while not (yield dut.sink.ready):
                yield
            yield dut.sink.valid.eq(0)
    yield


def take(dut, found, stalls, cycles=600):
    """Collect payloads and who sent them."""
    part = b""
    for _ in range(cycles):
        yield dut.source.ready.eq(stalls.random() < 0.6)
        yield
        if (yield dut.source.valid) and (yield dut.source.ready):
            part += (yield dut.source.data).to_bytes(4, "little")
            if (yield dut.source.last):
                found.append((part, (yield dut.source.ip_address), (yield dut.source.protocol)))
                part = b""


@pytest.mark.parametrize("seed", range(5))
def test_packets_come_through_and_wrong_ones_do_not(seed):
    stalls = random.Random(seed)
    payloads = [stalls.randbytes(4 * stalls.randint(1, 9)) for _ in range(8)]
    packets = [packet(payload, wrong=i in (2, 5)) for i, payload in enumerate(payloads)]
    with _queue_before_ip():
        dut = ip.LiteEthIPRX(MAC, IP, with_broadcast=False, dw=32)
    assert dut.sink is dut.queue.sink
    found = []
    run_simulation(dut, [give(dut, packets, stalls), take(dut, found, stalls)])
    right = [payload for i, payload in enumerate(payloads) if i not in (2, 5)]
    assert found == [(payload, SENDER, UDP) for payload in right]


def test_liteeth_is_as_it_was_afterwards():
    before = ip.LiteEthIPRX
    with pytest.raises(ValueError, match="in the midst"), _queue_before_ip():
        assert ip.LiteEthIPRX is not before
        raise ValueError("in the midst")
    assert ip.LiteEthIPRX is before
