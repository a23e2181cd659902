"""What proofs are made of: free inputs, the rules of streams, and a look inside a block."""

from amaranth import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Fragment

__all__ = [
    "Opened",
    "bits",
    "constant",
    "free",
    "handshake",
    "keeps",
    "sink",
    "source",
    "valid_stays",
]


def bits(value) -> Value:
    """Return a signal or a structured value as plain bits."""
    return value.as_value() if hasattr(value, "as_value") else Value.cast(value)


def free(m: Module, *inputs) -> None:
    """Let inputs be anything in each cycle."""
    m.d.comb += [bits(signal).eq(AnySeq(len(bits(signal)))) for signal in inputs]


def constant(m: Module, shape, name: str) -> Signal:
    """Return a value that may be anything, but the same in every cycle."""
    signal = Signal(shape, name=name)
    m.d.comb += bits(signal).eq(AnyConst(len(bits(signal))))
    return signal


def handshake(stream) -> Value:
    """Return whether a payload is transferred in this cycle."""
    return stream.valid & stream.ready


def keeps(m: Module, kind, condition, *values, name: str, src_loc_at: int = 0) -> None:
    """Assert or assume: where `condition` holds, the values are the same in the next cycle."""
    value = Cat(*(bits(v) for v in values))
    before = Signal(len(value), name=f"{name}_before")
    held = Signal(name=f"{name}_held")
    m.d.sync += [before.eq(value), held.eq(condition)]
    m.d.comb += kind(~held | (value == before), src_loc_at=src_loc_at + 1)


def valid_stays(m: Module, kind, stream, name: str, src_loc_at: int = 0) -> None:
    """Assert or assume the rule of streams: what is valid stays, unchanged, until it is taken."""
    waits = stream.valid & ~stream.ready
    keeps(m, kind, waits, stream.valid, stream.payload, name=name, src_loc_at=src_loc_at + 1)


def ready_stays(m: Module, kind, stream, name: str) -> None:
    """Assert or assume: who is ready for a payload stays so until it is valid."""
    payload, before = bits(stream.payload), Signal(len(bits(stream.payload)), name=f"{name}_before")
    held = Signal(name=f"{name}_held")
    m.d.sync += [before.eq(payload), held.eq(stream.ready & ~stream.valid)]
    m.d.comb += kind(~held | (payload != before) | stream.ready, src_loc_at=1)


def source(m: Module, stream, name: str) -> None:
    """Drive an input stream with anything that keeps the rule."""
    free(m, stream.valid, stream.payload)
    valid_stays(m, Assume, stream, name, src_loc_at=1)


def sink(m: Module, stream, name: str) -> None:
    """Take from an output stream under any back-pressure, and assert that it keeps the rule."""
    free(m, stream.ready)
    valid_stays(m, Assert, stream, name, src_loc_at=1)


class Opened:
    """A block, elaborated once, whose inner signals and memories invariants may speak of.

    Parameters
    ----------
    m : Module
        Where it becomes the submodule `name`.
    block : Component
        The block.
    """

    def __init__(self, m: Module, block, name: str = "dut") -> None:
        self._fragment = Fragment.get(block, "formal")
        m.submodules[name] = self._fragment

    def _open(self, path: str) -> Fragment:
        fragment = self._fragment
        for part in filter(None, path.split(".")):
            fragment = fragment.find_subfragment(part)
        return fragment

    def _find(self, path: str) -> tuple[Fragment, str]:
        where, _, name = path.rpartition(".")
        return self._open(where), name

    def signal(self, path: str, domains: tuple[str, ...] = ("comb", "sync")) -> Signal:
        """Return the signal of this hierarchical name; raises ValueError unless there is one.

        Signals that were made two to a line are all called ``$signal``; of those, name the domain.
        """
        fragment, name = self._find(path)
        found = {
            id(signal): signal
            for domain in domains
            for statement in fragment.statements.get(domain, ())
            for signal in statement._lhs_signals()
            if signal.name == name
        }
        if len(found) != 1:
            raise ValueError(f"{path} must name one signal, not {len(found)}")
        return next(iter(found.values()))

    def state(self, machine: str, *names: str) -> Value:
        """Return whether a state machine is in one of the states."""
        fragment, name = self._find(machine)
        encoding = fragment.generated[name].encoding
        signal = fragment.generated[name].state
        return Cat(signal == encoding[n] for n in names).any()

    def memory(self, path: str, address) -> Value:
        """Return what a memory holds at an address, in this cycle."""
        instance = self._open(path)
        width = (instance._data.depth - 1).bit_length()
        data = Signal(Shape.cast(instance._data.shape).width, name=path.replace(".", "_") + "_now")
        address = Cat(address, Const(0, width))[:width]
        instance.read_port(domain="comb", addr=address, data=data, en=Const(1), transparent_for=())
        return data

    def read_data(self, path: str, port: int = 0) -> Value:
        """Return the data register of a memory's read port."""
        return self._open(path)._read_ports[port]._data

    def collides(self, path: str) -> Value:
        """Return whether a memory with two ports is read where it is written, in this cycle."""
        instance = self._open(path)
        read, (write,) = instance._read_ports[0], instance._write_ports
        return read._en & write._en.any() & (read._addr == write._addr)

    def collided(self, m: Module, path: str) -> Signal:
        """Return whether what a memory with two ports shows was read so: it may be anything."""
        read = self._open(path)._read_ports[0]
        collided = Signal(name=path.replace(".", "_") + "_collided")
        with m.If(read._en):
            m.d.sync += collided.eq(self.collides(path))
        return collided

    def queued(self, path: str, depth: int) -> list[tuple[Value, Value]]:
        """Return what a `Queue` holds, its head first: for each place, whether it is, and what."""
        level, consume = (self.signal(f"{path}fifo.{name}") for name in ("inner_level", "consume"))
        storage = f"{path}fifo.storage"
        places = [(self.signal(f"{path}fifo.r_rdy"), self.read_data(storage))]
        for index in range(depth - 1):
            address = consume + index
            wrapped = Mux(address >= depth - 1, address - (depth - 1), address)
            places.append((index < level, self.memory(storage, wrapped)))
        return places
