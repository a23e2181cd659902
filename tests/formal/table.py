"""Every proof: what is claimed of which block, and for which dimensions."""

from dataclasses import replace

from hw.memory.port import READ_CLIENTS
from tests.formal import (
    accumulation,
    event_path,
    event_queue,
    guard,
    issue,
    memory_port,
    progress,
    registers,
    spikes,
    streams,
    writers,
)
from tests.formal.proof import PARAMS, Proof

__all__ = ["PROOFS"]

_STAYS = "what it offers stays, unchanged, until it is taken, under any back-pressure"

_APART = "no place of its memory is read in the cycle in which it is written"


def _proof(name: str, block: str, claim: str, build, **options) -> Proof:
    return Proof(name=name, block=block, claim=claim, build=build, **options)


def _of_edge(proof: Proof, **options) -> Proof:
    return replace(proof, params="edge", full=True, **options)


def _last(params: str) -> tuple[int, int]:
    return PARAMS[params].tokens - 1, PARAMS[params].lanes - 1


_STREAMS = [
    _proof("queue", "Queue", f"{_STAYS}; in the order of entry; {_APART}", streams.queue),
    _proof("bursts", "Bursts", _STAYS, streams.bursts),
    _proof(
        "marks",
        "GroupMarks",
        f"{_STAYS}; each event and end once, in order, and a mark behind the last event of each "
        "group that has some, no other",
        streams.marks,
    ),
    _proof("fetcher", "Fetcher", _STAYS, streams.fetcher),
    _proof("beats", "Beats", _STAYS, streams.beats),
    _proof("spike train", "SpikeTrain", _STAYS, streams.train),
    _proof("sequencer", "Sequencer", _STAYS, streams.sequencer),
    _proof("channel words", "ChannelWords", f"{_STAYS}; {_APART}", streams.channel_words, k=2),
    _proof(
        "drain",
        "Drain",
        f"{_STAYS}; it reads halves that it was given and not yet released, takes what the array "
        "shows and no operation has pushed out, and releases a half with its tile",
        streams.drain,
        k=2,
    ),
    _proof(
        "scaler",
        "Scaler",
        "it is busy as long as something is inside; no sum is read in the cycle in which it is "
        "written, if the places under way differ",
        streams.scaler,
        k=10,
    ),
    _proof("requantizer", "Requantizer", _STAYS, streams.requantizer),
    _proof("threshold", "Threshold", _STAYS, streams.threshold, cover_depth=50),
    _proof(
        "encoder",
        "Encoder",
        f"{_STAYS}; it overwrites no thresholds that are complete; {_APART}",
        issue.encoder,
        k=2,
        cover_depth=70,
        covers_full=True,
    ),
    _proof(
        "controller",
        "Controller",
        f"{_STAYS}; no ENCODE is issued for a bank that a MATMUL needs, nothing with a fence while "
        "something works; a loop takes its records, all of them and no other word",
        issue.controller,
        k=2,
        cover_depth=30,
    ),
    _proof("rows", "RowMux", f"{_STAYS}; a row is followed by its own words", writers.rows),
    _proof(
        "cache writer",
        "CacheWriter",
        f"{_STAYS}; each row is followed by as many words as it touches",
        writers.cache,
        cover_depth=30,
    ),
    _proof("vector unit", "VectorUnit", f"rows and words: {_STAYS}", writers.vector),
    _proof(
        "operands",
        "VectorUnit",
        f"segments: {_STAYS}; it asks for those of each row and pass, and takes them all",
        writers.operands,
        full=True,
    ),
    _proof(
        "banks",
        "MatrixPath",
        "a bank is busy while a MATMUL needs it; results on offer are told as draining",
        issue.banks,
    ),
]
_MEMORY = [
    _proof(
        "burst words",
        "Bursts",
        "bursts ask for exactly the segments' words, in order; 1 to max_burst_words words, none "
        "across 4 KiB",
        memory_port.cut_and_merged,
    ),
    _proof(
        "read port",
        "ReadPort",
        "AR stays until taken; 1 to max_burst_words words, none across 4 KiB",
        memory_port.read_port,
    ),
    *(
        _proof(
            f"read client: {name}",
            "ReadPort",
            "R is taken in the cycle in which it comes; words asked for = words requested + under "
            "way + held + delivered",
            memory_port.read_client(index),
        )
        for index, name in enumerate(READ_CLIENTS)
    ),
    _proof(
        "write port",
        "WritePort",
        "AW and W stay until taken; bursts of 1 to max_burst_words words, none across 4 KiB; WLAST "
        "on the last beat and no other; each row's bytes once, at their addresses; busy until "
        "all is acknowledged",
        memory_port.write_port,
        cover_depth=30,
    ),
    _proof(
        "guard",
        "Guard",
        "ended in any cycle: AR, AW and W stay until taken; no address is offered any more; no "
        "word comes before its address is on offer, and each write burst gets its words, WLAST on "
        "the last and no other; the next run finds nothing under way of its own epoch, and gets no "
        "word of another",
        guard.legal,
        cover_depth=30,
    ),
    _proof(
        "guard ends",
        "Guard",
        "an end comes within max_burst_words * "
        f"{guard.PATIENCE + 1} + {guard.CLOSING_CYCLES} cycles, those not counted in which only "
        "responses are missing, if memory is fair",
        guard.ends,
        cover_depth=30,
    ),
    _proof(
        "registers",
        "Csr",
        "AXI4-Lite: B and R stay until taken, one answer a request; start once, and never while "
        "busy",
        registers.registers,
    ),
]
_SPIKES = [
    _proof(
        "digits",
        "SpikeTrain",
        "the digits are worth the count, of all counts in all codings; csd is non-adjacent",
        spikes.digits,
    ),
    _proof(
        "addition",
        "pe.accumulate",
        "exact for every sum up to max_count * 2^max_shift * 128 * max_channels",
        spikes.addition,
    ),
    _proof(
        "events",
        "SpikeBuffer, EventQueue",
        "every firing channel once, in order, with the counts written, and no silent one, then the "
        f"end mark, for each tile; no count is read before it is written; {_APART}",
        event_queue.every_event_once,
        cover_depth=32,
    ),
    _proof(
        "steps",
        "SpikeTrain, Sequencer",
        "each beat's additions are worth its counts, and at most the largest on the way",
        accumulation.steps,
    ),
    _proof(
        "additions",
        "Sequencer, PEArray",
        "no overflow: what the drain reads is the exact sum of the additions, while that is at "
        "most max_count * 2^max_shift * 128 * max_channels; what is read while it is stored is not "
        "used: drain and additions never meet in one half",
        accumulation.additions(*_last("test")),
    ),
    _proof(
        "accumulation",
        "SpikeTrain, Sequencer, PEArray",
        "no overflow: what the drain reads is the exact sum of counts times weights",
        accumulation.accumulation(0, 1),
        params="small, max_count 3",
    ),
]
_PROGRESS = [
    *(
        _proof(
            f"served: {name}",
            "ReadPort",
            f"its next word comes within max_burst_words + {progress.SERVED_CYCLES} cycles, while "
            "no client before it wants anything, if memory and client are fair",
            progress.served(index),
            cover_depth=30,
        )
        for index, name in enumerate(READ_CLIENTS)
    ),
    *(
        _proof(
            "event path",
            "Fetcher, Beats, SpikeTrain, Sequencer, queues",
            "no deadlock: while an event waits or is inside, within "
            f"{event_path.MOVES_CYCLES} cycles ({event_path.MOVES_CYCLES_A_WORD} more for each "
            "further word of a beat) one is taken, an addition made or a tile handed over, if "
            "memory and drain are fair; events, rows, words and beats stay in step",
            event_path.moving,
            params=params,
        )
        for params in ("small", "small, narrow", "small, wide")
    ),
]
_NOT_ALIKE = ("additions", "operands")  # others are proved of `edge` in the same words
_FAST = [*_STREAMS, *_MEMORY, *_SPIKES, *_PROGRESS]
_BY_NAME = {proof.name: proof for proof in _FAST}

PROOFS: list[Proof] = [
    *_FAST,
    *(
        _of_edge(proof)
        for proof in _FAST
        if proof.params == "test" and proof.name not in _NOT_ALIKE
    ),
    _of_edge(_BY_NAME["additions"], build=accumulation.additions(*_last("edge"))),
    *(
        replace(_BY_NAME[name], params=params, full=True)
        for params in ("test, mac", "test, no skipping")
        for name in ("digits", "steps", "additions")
    ),
    replace(_BY_NAME["events"], params="test, no skipping", full=True),
    replace(_BY_NAME["accumulation"], params="small, max_count 7", full=True),
]
