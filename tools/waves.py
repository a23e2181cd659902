"""Writes the waveforms of docs/bringup.md: recorded from the RTL, drawn by WaveDrom.

`make docs` runs it: ``python -m tools.waves``. A small program runs on the whole accelerator in
Amaranth's simulator; windows of its ports become ``docs/waves/*.json`` (WaveDrom's source) and
``docs/figures/wave-*.svg``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from amaranth.sim import Simulator, SimulatorContext

from hw.contract import isa
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Opcode, VectorOp
from hw.contract.presets import preset
from hw.contract.regs import Control, offset
from hw.top import SpikeloomTop

__all__ = ["FIGURES", "SOURCES", "drawn", "recorded"]

_DOCS = Path(__file__).resolve().parent.parent / "docs"
SOURCES, FIGURES = _DOCS / "waves", _DOCS / "figures"

_PARAMS = preset("test")
_WORD = _PARAMS.axi_bytes
_SOURCE, _DESTINATION, _ELEMENTS = 0x1000, 0x1FF8, 8  # a vector that ends beyond a 4 KiB boundary
_LATENCY = 4  # of the memory, in cycles
_CYCLES = 400
_HOST = ("aw", "w", "b", "ar", "r")
_MASTER = {
    "ar": ("valid", "ready", "id", "addr", "len"),
    "r": ("valid", "ready", "id", "data", "resp", "last"),
    "aw": ("valid", "ready", "id", "addr", "len"),
    "w": ("valid", "ready", "data", "strb", "last"),
    "b": ("valid", "ready", "id", "resp"),
}
_SLAVE = {
    "aw": ("valid", "ready", "addr"),
    "w": ("valid", "ready", "data"),
    "b": ("valid", "ready", "resp"),
    "ar": ("valid", "ready", "addr"),
    "r": ("valid", "ready", "data"),
}

Rows = list[dict[str, int]]


def _program() -> bytes:
    """Return a program that copies a vector."""
    fields = [name for name in isa.INSTRUCTIONS[Opcode.VECTOR].members if name != "opcode"]
    copy = {
        **dict.fromkeys(fields, 0),
        "operation": VectorOp.COPY.value,
        "rows": 1,
        "elements": _ELEMENTS,
        "constant": 1,
        "stride": 4 * _ELEMENTS,
        "a": _SOURCE,
        "destination": _DESTINATION,
    }
    slots = [isa.assemble(Opcode.VECTOR, **copy), isa.assemble(Opcode.END)]
    header = {"magic": isa.MAGIC, "slots": len(slots), "reserved": 0}
    identity = int(fingerprint(_PARAMS), 16)
    return isa.pack(isa.HEADER, **header, fingerprint=identity) + b"".join(slots)


class _Memory:
    """A memory behind the accelerator's master, without stalls."""

    def __init__(self, top: SpikeloomTop) -> None:
        self._bus = top.m_axi
        self.bytes = bytearray(1 << 14)
        self.bytes[: len(_program())] = _program()
        self.bytes[_SOURCE : _SOURCE + 4 * _ELEMENTS] = bytes(range(1, 1 + 4 * _ELEMENTS))
        self._words: list[tuple[int, int, int, int]] = []  # due, id, address, last
        self._writes: list[list[int]] = []  # id, address, words left, due

    async def serve(self, ctx: SimulatorContext) -> None:
        """Serve until the simulation ends."""
        bus, now = self._bus, 0
        for channel in (bus.ar, bus.aw, bus.w):
            ctx.set(channel.ready, 1)
        ports = (bus.ar.valid, bus.ar.id, bus.ar.addr, bus.ar.len, bus.aw.valid, bus.aw.id)
        ports += (bus.aw.addr, bus.aw.len, bus.w.valid, bus.w.data, bus.w.strb, bus.r.valid)
        ports += (bus.r.ready, bus.b.valid, bus.b.ready)
        async for _, _, *sampled in ctx.tick().sample(*ports):
            now += 1
            asks, ask_id, ask_at, ask_len, puts, put_id, put_at, put_len, *rest = sampled
            gives, data, strobe, r_valid, r_ready, b_valid, b_ready = rest
            if asks:
                for i in range(ask_len + 1):
                    word = (now + _LATENCY + i, ask_id, ask_at + _WORD * i, int(i == ask_len))
                    self._words.append(word)
            if puts:
                self._writes.append([put_id, put_at, put_len + 1, 0])
            if gives:
                burst = next(burst for burst in self._writes if burst[2])
                for i in range(_WORD):
                    if strobe >> i & 1:
                        self.bytes[burst[1] + i] = data >> 8 * i & 0xFF
                burst[1:] = [burst[1] + _WORD, burst[2] - 1, now + _LATENCY]
            if not r_valid or r_ready:
                due = bool(self._words) and self._words[0][0] <= now
                ctx.set(bus.r.valid, due)
                if due:
                    _, identity, address, last = self._words.pop(0)
                    word = int.from_bytes(self.bytes[address : address + _WORD], "little")
                    for port, value in (
                        (bus.r.id, identity),
                        (bus.r.data, word),
                        (bus.r.last, last),
                    ):
                        ctx.set(port, value)
            if not b_valid or b_ready:
                done = bool(self._writes) and not self._writes[0][2] and self._writes[0][3] <= now
                ctx.set(bus.b.valid, done)
                if done:
                    ctx.set(bus.b.id, self._writes.pop(0)[0])


class _Host:
    """A host behind the accelerator's slave: an access at a time."""

    def __init__(self, top: SpikeloomTop) -> None:
        self._bus = top.s_axil

    async def write(self, ctx: SimulatorContext, name: str, value: int) -> None:
        """Write a register."""
        bus = self._bus
        values = {"awaddr": offset(name), "wdata": value, "wstrb": 0xF, "awvalid": 1, "wvalid": 1}
        for port, bits in values.items():
            ctx.set(getattr(bus, port), bits)
        await ctx.tick().until(bus.awready & bus.wready)
        for port, bits in {"awvalid": 0, "wvalid": 0, "bready": 1}.items():
            ctx.set(getattr(bus, port), bits)
        await ctx.tick().until(bus.bvalid)
        ctx.set(bus.bready, 0)

    async def read(self, ctx: SimulatorContext, name: str) -> int:
        """Return a register."""
        bus = self._bus
        ctx.set(bus.araddr, offset(name))
        ctx.set(bus.arvalid, 1)
        await ctx.tick().until(bus.arready)
        ctx.set(bus.arvalid, 0)
        ctx.set(bus.rready, 1)
        (value,) = await ctx.tick().sample(bus.rdata).until(bus.rvalid)
        ctx.set(bus.rready, 0)
        return value


def _run(abort: bool) -> tuple[Rows, _Memory]:
    """Run the program on the accelerator; returns its ports in every cycle, and the memory."""
    top, rows = SpikeloomTop(_PARAMS), []
    memory, host = _Memory(top), _Host(top)
    signals = {"irq": top.irq}
    for prefix, bus, channels in (("m_axi", top.m_axi, _MASTER), ("s_axil", top.s_axil, _SLAVE)):
        for channel, names in channels.items():
            for name in names:
                found = getattr(bus, channel + name, None)
                port = getattr(getattr(bus, channel), name) if found is None else found
                signals[f"{prefix}_{channel}{name}"] = port

    async def watch(ctx: SimulatorContext) -> None:
        async for _, _, *values in ctx.tick().sample(*signals.values()):
            rows.append(dict(zip(signals, values, strict=True)))

    async def work(ctx: SimulatorContext) -> None:
        await host.write(ctx, "PROGRAM_LOW", 0)
        await host.write(ctx, "IRQ_ENABLE", 1)
        await host.write(ctx, "CONTROL", Control.START.value)
        await host.read(ctx, "STATUS")
        if abort:
            await ctx.tick().until(top.m_axi.ar.valid & (top.m_axi.ar.addr == _SOURCE))
            await host.write(ctx, "CONTROL", Control.ABORT.value)
        await ctx.tick().until(top.irq)
        await host.read(ctx, "ERROR")
        await host.write(ctx, "IRQ_STATUS", 1)
        await ctx.tick().repeat(4)

    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    simulator.add_process(watch)
    simulator.add_testbench(memory.serve, background=True)
    simulator.add_testbench(work)
    simulator.run_until(_CYCLES * 1e-8)
    return rows, memory


def _window(rows: Rows, first: int, end: int, names: list[str], about: str) -> dict[str, Any]:
    """Return some ports in some cycles as WaveDrom has them."""
    lines: list[dict[str, Any]] = [{"name": "clk", "wave": "p" + "." * (end - first - 1)}]
    for name in names:
        lines.append(_line(name, rows[first:end]))
    return {"signal": lines, "head": {"text": about}}


def _line(name: str, rows: Rows) -> dict[str, Any]:
    """Return one port: a level where it has one bit, values where it has several and they count."""
    prefix = re.match(r"(m_axi|s_axil)_(aw|ar|w|r|b)", name)
    gate = f"{prefix[0]}valid" if prefix else None
    level = name == "irq" or name.endswith(("valid", "ready"))
    single = level or name.endswith("last")
    wave, data, before = "", [], None
    for row in rows:
        value: object = row[name]
        if not level and gate is not None and not row[gate]:
            value = "x"
        if value == before:
            wave += "."
        elif single or value == "x":
            wave += str(value)
        else:
            wave += "="
            data.append(_label(row[name]))
        before = value
    return {"name": name, "wave": wave} | ({"data": data} if data else {})


def _label(value: int) -> str:
    """Return a value as it fits into a cycle: of data, the last two bytes."""
    return f"{value:x}" if value < 1 << 16 else f"{value & 0xFFFF:04x}"


def _ports(prefix: str, *channels: str) -> list[str]:
    about = _MASTER if prefix == "m_axi" else _SLAVE
    return [f"{prefix}_{channel}{name}" for channel in channels for name in about[channel]]


def _first(rows: Rows, after: int = 0, **wanted: int) -> int:
    """Return the first cycle in which ports have these values."""
    for index, row in enumerate(rows[after:], after):
        if all(row[name] == value for name, value in wanted.items()):
            return index
    raise ValueError(f"no cycle has {wanted}")


def recorded() -> Mapping[str, dict[str, Any]]:
    """Return all waveforms by name, in WaveDrom's form."""
    rows, memory = _run(abort=False)
    place = slice(_DESTINATION, _DESTINATION + 4 * _ELEMENTS)
    if memory.bytes[place] != bytes(range(1, 1 + 4 * _ELEMENTS)):
        raise ValueError("the program has not copied its vector")
    start = _first(rows, s_axil_awvalid=1, s_axil_awaddr=offset("CONTROL"))
    status = _first(rows, start, s_axil_rvalid=1)
    asks = _first(rows, start, m_axi_arvalid=1, m_axi_araddr=_SOURCE)
    words = _first(rows, _first(rows, asks, m_axi_rid=rows[asks]["m_axi_arid"]), m_axi_rlast=1)
    puts = _first(rows, start, m_axi_awvalid=1)
    last = _first(rows, _first(rows, puts, m_axi_bvalid=1) + 1, m_axi_bvalid=1)
    irq = _first(rows, irq=1)
    low = _first(rows, irq, irq=0)
    waves = {
        "start": _window(
            rows,
            start - 1,
            status + 2,
            _ports("s_axil", "aw", "w", "b", "ar", "r"),
            "CONTROL is written, STATUS read",
        ),
        "read": _window(
            rows,
            asks - 1,
            words + 2,
            _ports("m_axi", "ar", "r"),
            "A vector is read",
        ),
        "write": _window(
            rows,
            puts - 1,
            last + 2,
            _ports("m_axi", "aw", "w", "b"),
            "A vector is written across a boundary of 4 KiB",
        ),
        "end": _window(
            rows,
            irq - 1,
            low + 2,
            ["irq", *_ports("s_axil", "ar", "r", "aw", "w", "b")],
            "The interrupt: ERROR is read, IRQ_STATUS cleared",
        ),
    }
    rows, _ = _run(abort=True)
    abort = _first(rows, s_axil_awvalid=1, s_axil_awaddr=offset("CONTROL"), s_axil_wdata=2)
    waves["abort"] = _window(
        rows,
        abort - 3,
        _first(rows, abort, irq=1) + 2,
        ["s_axil_awvalid", "s_axil_awaddr", "s_axil_wdata", *_ports("m_axi", "ar", "r"), "irq"],
        "An abort in the midst of a read burst",
    )
    return waves


def drawn(wave: Mapping[str, Any]) -> str:
    """Return a waveform as SVG, without what WaveDrom's skin holds and this one does not use."""
    import wavedrom

    svg = wavedrom.render(json.dumps(wave)).tostring()
    used = set(re.findall(r'href="#([^"]+)"', svg))

    def kept(match: re.Match) -> str:
        return match[0] if match[1] in used else ""

    return re.sub(r'<g id="([^"]+)">(?:(?!<g id=).)*?</g>', kept, svg) + "\n"


def main() -> Iterator[Path]:
    """Write all files anew; yields them."""
    SOURCES.mkdir(exist_ok=True)
    for name, wave in recorded().items():
        source, figure = SOURCES / f"{name}.json", FIGURES / f"wave-{name}.svg"
        lines = [f"  {json.dumps(line)}" for line in wave["signal"]]
        text = (
            '{"signal": [\n' + ",\n".join(lines) + f'\n],\n"head": {json.dumps(wave["head"])}}}\n'
        )
        source.write_text(text)
        figure.write_text(drawn(wave))
        yield from (source, figure)


if __name__ == "__main__":
    for path in main():
        print(path)
