"""Faults in reading and writing memory."""

from tests.mutations.mutation import faults_in

__all__ = ["MUTATIONS"]

MUTATIONS = [
    *faults_in(
        "memory/cut.py",
        "hw/memory/test_bursts.py",
        ("the cut at 4 KiB", "ends_page.eq(", "ends_page.eq(0 & "),
        ("the address behind a cut", "address[low_width:] + 1", "address[low_width:]"),
    ),
    *faults_in(
        "memory/bursts.py",
        "hw/memory/test_bursts.py",
        ("the cut of what is too long", "Mux(last, 0, run_words - longest)", "0"),
        (
            "a burst handed over while the one before waits",
            "(run_words != 0) & complete & leaving.i.ready",
            "(run_words != 0) & complete",
        ),
        ("a segment that joins stalls", "(joins & ~full)", "(joins & ~full & (low == 0))"),
    ),
    *faults_in(
        "memory/read.py",
        "hw/memory/test_read.py",
        (
            "the credit of a client",
            "room.eq(bursts.o.payload.words <= free)",
            "room.eq(1)",
        ),
        ("the return of credit", "free) + left)", "free))"),
        ("the order of the clients", "& idle & ~Cat(*wants).any()", "& idle"),
    ),
    *faults_in(
        "memory/write.py",
        "hw/memory/test_write.py",
        ("the bytes behind a row", "(byte < end)", "(byte <= end)"),
        ("the bytes before a row", "(byte >= first) & (byte < end)", "(byte < end)"),
        (
            "the words that a row touches",
            "words.eq((row.first + row.bytes + p.axi_bytes - 1)",
            "words.eq((row.bytes + p.axi_bytes - 1)",
        ),
        ("the words behind a burst", "Mux(last, 0, words - longest)", "0"),
        (
            "a word that is not taken",
            "self.i.ready.eq(more & (~out.valid | out.ready))",
            "self.i.ready.eq(more)",
        ),
        (
            "the wait for acknowledgements",
            'self.busy.eq(~fsm.ongoing("ROW") | awaits)',
            'self.busy.eq(~fsm.ongoing("ROW"))',
        ),
    ),
    *faults_in(
        "memory/guard.py",
        "hw/memory/test_guard.py",
        (
            "an address or word on offer",
            "with m.If(~(channel.valid & ~channel.ready)):",
            "with m.If(1):",
        ),
        ("the words that are owed", "supply.eq(owed != 0)", "supply.eq(0)"),
        ("the last of them", "supply_last.eq(owed == 2)", "supply_last.eq(owed == 1)"),
        ("the wait for what was read", "lost = (reads != 0) | ", "lost = "),
        ("the wait for what was written", "| (writes != 0)", ""),
        ("late words", "stale = self.closed | (data.payload.epoch != self.epoch)", "stale = 0"),
        ("the epoch", "self.epoch.eq(self.epoch + lost)", "self.epoch.eq(0)"),
        ("the words of an address", "owed.eq(self.i_write.payload.words)", "owed.eq(1)"),
        ("a write's address on offer", "with m.If(free):", "with m.If(1):"),
        ("the limit of writes", "full.eq(writes_next == MOST_WRITES)", "full.eq(0)"),
    ),
    *faults_in(
        "memory/guard.py",
        "e2e/test_aborts.py::test_hundreds_of_ends",
        (
            "late acknowledgements",
            "response.valid & (response.payload.epoch == self.epoch)",
            "response.valid",
        ),
        ("the reset of the blocks", "m.d.sync += self.reset.eq(1)", "m.d.sync += self.reset.eq(0)"),
        ("a second abort", "with m.If(stop & self.closed):", "with m.If(0):"),
    ),
    *faults_in(
        "memory/faults.py",
        "hw/memory/test_faults.py",
        ("the word that failed", "offset.eq(words_came)", "offset.eq(0)"),
        ("the oldest burst", "oldest.eq(oldest + 1)]", "oldest.eq(oldest)]"),
        ("the first fault", "(self.kind == FaultKind.NONE) & (found", "(found"),
        ("what never came", "(missed & waiting.any())", "0"),
    ),
    *faults_in(
        "memory/rows.py",
        "hw/memory/test_rows.py",
        ("the owner of the words", "owner.eq(chosen)", "owner.eq(offered)"),
        ("a row on offer", "Mux(waits, kept, offered)", "offered"),
        (
            "the words that a row touches",
            "left.eq((row.first + row.bytes + p.axi_bytes - 1)",
            "left.eq((row.bytes + p.axi_bytes - 1)",
        ),
    ),
]
