"""One accumulator of the array, any of them: where its value is, and in which tile."""

from dataclasses import dataclass

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.hdl import Assert, Assume

from hw.contract.params import HwParams
from hw.matmul.pe import accumulate
from hw.matmul.sequencer import operation_layout
from tests.formal.chain import Chain
from tests.formal.rules import constant, handshake

__all__ = ["ArrayState", "Place", "Tiles", "choose"]


@dataclass(frozen=True)
class Place:
    """The chosen accumulator: any half and beat, and one token and lane."""

    half: Signal
    beat: Signal
    token: int
    lane: int


def choose(m: Module, p: HwParams, token: int, lane: int) -> Place:
    """Choose any half and beat."""
    beat = constant(m, range(max(p.banks, 2)), "chosen_beat")
    m.d.comb += Assume(beat < p.banks)
    return Place(constant(m, 1, "chosen_half"), beat, token, lane)


class ArrayState:
    """What the array holds of the chosen accumulator, wherever it is.

    Parameters
    ----------
    m, p, chain, place
        Module, parameters, the connected blocks, the accumulator.
    """

    def __init__(self, m: Module, p: HwParams, chain: Chain, place: Place) -> None:
        inside = chain.in_array
        address = Signal(range(2 * p.banks))
        groups = p.lanes // p.encode_lanes
        index = (place.lane % p.encode_lanes * groups + place.lane // p.encode_lanes) * p.tokens
        index += place.token

        def chosen(row: Value) -> Value:
            selected = Signal(signed(p.acc_width), name=f"chosen{len(self._names)}")
            self._names.append(selected)
            m.d.comb += selected.eq(row.word_select(index, p.acc_width))
            return selected

        self._names: list[Signal] = []
        valid, keep, load, store = inside.signal("flags")
        spikes, operands = inside.signal("spikes"), inside.signal("operands")
        mac = p.array == "mac"
        operand = Signal(signed(len(operands) // p.lanes // (p.tokens if mac else 1)))
        m.d.comb += [
            address.eq(place.beat + Mux(place.half, p.banks, 0)),
            operand.eq(
                operands.word_select(place.token * p.lanes * mac + place.lane, len(operand))
            ),
        ]
        memory = chosen(inside.memory("accumulators", address))
        loaded = chosen(inside.read_data("accumulators", 0))
        v_mem = chosen(inside.signal("v_mem"))
        held_place, at = inside.signal("held_place"), inside.signal("place")
        store_valid = inside.signal("store_valid")
        fires, minus = (spikes.word_select(kind, p.tokens)[place.token] for kind in range(2))
        base, added = Signal(signed(p.acc_width)), Signal(signed(p.acc_width))
        here = valid & (at == address)
        m.d.comb += [
            base.eq(Mux(keep, v_mem, Mux(load, loaded, 0))),
            added.eq(accumulate(base, operand, fires, minus)),
        ]
        held = Signal(signed(p.acc_width), name="held_value")
        m.d.comb += held.eq(Mux(here, added, Mux(held_place == address, v_mem, memory)))

        # The operation that was taken a cycle ago: what it will add.
        operation = operation_layout(p)(inside.signal("operation"))
        taken, taken_place = inside.signal("taken"), inside.signal("operation_place")
        coming = taken & (taken_place == address)
        weight = operation.beat[place.lane]
        worth = (
            weight * operation.magnitudes[place.token]
            if mac
            else (weight << operation.shift)[: len(operand)].as_signed()
        )
        # What the adder and memory must hold: what was told to be added up to the last operation.
        exact, known = Signal(signed(p.acc_width), name="exact_held"), Signal()
        clears = operation.first_event & operation.first_step
        to_add, start = Signal(signed(len(operand))), Signal(signed(p.acc_width))
        self.value = Signal(signed(p.acc_width), name="value")
        m.d.comb += [
            to_add.eq(worth),
            start.eq(Mux(clears, 0, exact)),
            self.value.eq(
                Mux(
                    coming,
                    accumulate(
                        start,
                        to_add,
                        (operation.plus | operation.minus)[place.token],
                        operation.minus[place.token],
                    ),
                    exact,
                )
            ),
        ]
        m.d.sync += exact.eq(self.value)
        with m.If(coming & clears):
            m.d.sync += known.eq(1)
        m.d.comb += Assert(~known | (held == exact))
        self.known = known | (coming & clears)

        open_beat = Signal()  # the last addition was not its beat's last
        self.used = Signal()  # there has been an addition since the reset
        with m.If(valid):
            m.d.sync += [open_beat.eq(~store), self.used.eq(1)]
        fresh = chain.fresh
        here_bank, taken_bank = (a - Mux(chain.half, p.banks, 0) for a in (at, taken_place))
        self.valid = taken | valid
        self.memory = memory
        self.in_flight = coming | here | (store_valid & (held_place == address))
        m.d.comb += [
            Assert(~valid | fires | ~minus),
            Assert(~taken | ((operation.plus & operation.minus) == 0)),
            # What was loaded is what memory holds, unless the adder has something newer.
            Assert(
                ~here
                | (held_place == address)
                | ~load
                | ((loaded == memory) & ~inside.collided(m, "accumulators"))
            ),
            # Memory has what left the adder last.
            Assert(
                ~self.used | (held_place != address) | open_beat | store_valid | (v_mem == memory)
            ),
            # The first addition of all starts at zero, and so does the second, unless the adder
            # holds the first.
            Assert(self.used | ~store_valid),
            Assert(self.used | ~known | here),
            Assert(self.used | ~valid | ~(keep | load)),
            Assert(self.used | valid | ~taken | clears),
            Assert(self.used | valid | ~taken | chain.untouched | (chain.extent.row_beats == 1)),
            Assert(self.used | ~taken | operation.first_event | (valid & (at == taken_place))),
            Assert(chain.sequencer.array_storing == (taken & valid & store)),
            # A beat's steps follow each other.
            Assert(~open_beat | ~store_valid),
            Assert(~(valid & open_beat) | (at == held_place)),
            Assert(~valid | ~keep | (held_place == at)),
            Assert(~valid | ~load | (held_place != at)),
            Assert(~taken | (operation.first_step == Mux(valid, store, ~open_beat))),
            Assert(fresh == Mux(taken, operation.last_step, Mux(valid, store, ~open_beat))),
            Assert(self.valid | ~open_beat | (held_place == self._address(p, chain))),
            Assert(~taken | valid | ~open_beat | (held_place == taken_place)),
            Assert(~taken | operation.last_step | (taken_place == self._address(p, chain))),
            Assert(taken | ~valid | store | (at == self._address(p, chain))),
            Assert(~(taken & valid) | store | (at == taken_place)),
            # Beats follow each other.
            Assert(~(self.valid | store_valid) | chain.sequencer.i_matmul.valid),
            Assert(
                ~(self.valid | store_valid)
                | (chain.in_sequencer.signal("two_beats") == (chain.extent.row_beats == 2))
            ),
            Assert(
                ~(taken & operation.last_step) | (taken_place == self._before(p, chain, chain.bank))
            ),
            Assert(taken | ~(valid & store) | (at == self._before(p, chain, chain.bank))),
            Assert(~(taken & valid & store) | (at == self._before(p, chain, taken_bank))),
            Assert(~(valid & store_valid) | (held_place == self._before(p, chain, here_bank))),
            # Nothing is loaded while it is stored.
            Assert(
                ~(taken & operation.first_step & valid & store_valid)
                | (chain.extent.row_beats != 2)
            ),
        ]

    @staticmethod
    def _address(p: HwParams, chain: Chain) -> Value:
        return chain.bank + Mux(chain.half, p.banks, 0)

    @staticmethod
    def _before(p: HwParams, chain: Chain, bank: Value) -> Value:
        """Return where the beat lies that comes before that of `bank`."""
        last = chain.extent.row_beats - 1
        return Mux(bank == 0, last, bank - 1) + Mux(chain.half, p.banks, 0)


class Tiles:
    """Where the sequencer is, as the chosen accumulator sees it.

    Parameters
    ----------
    m, p, chain, place, array
        Module, parameters, the connected blocks, the accumulator, the array's part of it.
    """

    def __init__(
        self, m: Module, p: HwParams, chain: Chain, place: Place, array: ArrayState
    ) -> None:
        sequencer, bank, untouched = chain.sequencer, chain.bank, chain.untouched
        train = sequencer.i
        self.here = (chain.half == place.half) & (bank == place.beat)
        self.live = ~chain.fresh & self.here  # its beat is at hand
        self.done = sequencer.o.valid & sequencer.o.payload.last_step & self.here
        self.busy = chain.occupied.bit_select(place.half, 1)  # its tile drains
        self.started = Signal()  # it holds something of its tile
        self.beats = Signal(range(p.max_channels + 2))  # that are in it
        finished = Signal(range(p.max_channels + 2))  # events of the tile at the sequencer
        current = (chain.half == place.half) & ~self.busy
        with m.If(self.done):
            m.d.sync += [self.beats.eq(Mux(untouched, 0, self.beats) + 1), self.started.eq(1)]
        with m.If(sequencer.release.bit_select(place.half, 1)):
            m.d.sync += self.started.eq(0)
        with m.If(handshake(train)):
            m.d.sync += finished.eq(Mux(chain.mark, 0, finished + 1))

        at_start = untouched & chain.fresh & (bank == 0)
        m.d.comb += [
            Assert(self.beats <= p.max_channels),
            Assert(untouched == (finished == 0)),
            Assert(array.used | array.in_flight | ~self.started),
            Assert(array.used | array.valid | at_start),
            Assert(~at_start | chain.array.idle),
            Assert((untouched & (bank == 0)) | sequencer.i_matmul.valid),
            Assert((bank == 0) | (train.valid & ~chain.mark & (bank < chain.extent.row_beats))),
            Assert(~chain.occupied.bit_select(chain.half, 1) | at_start),
            Assert(current | self.busy | ~self.started),
            Assert((chain.entered <= p.max_channels) & (finished <= p.max_channels)),
        ]
        with m.If(current & untouched):
            m.d.comb += Assert(self.started == (place.beat < bank))
            m.d.comb += Assert(~self.started | (self.beats == 1))
        with m.If(current & ~untouched):
            m.d.comb += Assert(self.started == (place.beat < chain.extent.row_beats))
            m.d.comb += Assert(~self.started | (self.beats == finished + (bank > place.beat)))
        at_hand = Mux(train.valid, Mux(chain.mark, 0, finished + 1), finished)
        waiting = chain.waiting
        after = Mux(waiting.valid, Mux(waiting.mark, 0, at_hand + 1), at_hand)
        m.d.comb += [Assert(chain.entered == after), Assert(at_hand <= p.max_channels)]
