"""The register before the bus: every access once, in order, with its answer, at any pace."""

import random

import pytest

pytest.importorskip("litex", reason="LiteX is not installed: pip install 'spikeloom[soc]'")

from litex.soc.interconnect.wishbone import Interface
from migen import passive, run_simulation

from hw.soc.bus_register import BusRegister


def answer(address: int) -> int:
    return address * 2_654_435_761 % 2**32


@passive
def slave(rng, bus, seen):
    """Answer accesses after a while; every address that ends in 7 with an error."""
    while True:
        yield bus.ack.eq(0)
        yield bus.err.eq(0)
        yield
        if (yield bus.cyc) and (yield bus.stb):
            for _ in range(rng.randrange(4)):
                yield
                assert (yield bus.cyc) and (yield bus.stb), "an access was given up"
            address = yield bus.adr
            seen.append((address, (yield bus.we), (yield bus.dat_w), (yield bus.sel)))
            yield bus.dat_r.eq(answer(address))
            fails = address % 8 == 7
            yield bus.err.eq(fails)
            yield bus.ack.eq(not fails)
            yield


def host(rng, bus, wanted):
    for address, write, data, select in wanted:
        yield bus.adr.eq(address)
        yield bus.we.eq(write)
        yield bus.dat_w.eq(data)
        yield bus.sel.eq(select)
        yield bus.cyc.eq(1)
        yield bus.stb.eq(1)
        yield
        while not (yield bus.ack) and not (yield bus.err):
            yield
        assert (yield bus.err) == (address % 8 == 7)
        if not write and address % 8 != 7:
            assert (yield bus.dat_r) == answer(address)
        if rng.random() < 0.5:  # else the next access follows at once
            yield bus.cyc.eq(0)
            yield bus.stb.eq(0)
            for _ in range(rng.randrange(1, 4)):
                yield


def test_every_access_once_and_in_order(seed):
    rng = random.Random(seed)
    bridge = Interface(data_width=32, adr_width=30)
    dut = BusRegister(bridge)
    wanted = [
        (rng.getrandbits(30), rng.getrandbits(1), rng.getrandbits(32), rng.getrandbits(4))
        for _ in range(300)
    ]
    seen = []
    run_simulation(dut, [host(rng, bridge, wanted), slave(rng, dut.bus, seen)])
    assert seen == wanted
