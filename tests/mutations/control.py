"""Faults in executing a program."""

from tests.mutations.mutation import faults_in

__all__ = ["MUTATIONS"]

MUTATIONS = [
    *faults_in(
        "control/watchdog.py",
        "hw/control/test_watchdog.py",
        ("a transfer in time", "with m.If(moved | self.expired):", "with m.If(self.expired):"),
        ("a watchdog that is off", "& (self.limit != 0)", ""),
        ("its limit", "cycles >= self.limit", "cycles > self.limit"),
    ),
    *faults_in(
        "control/csr.py",
        "hw/control/test_csr.py",
        ("an abort with a start", "& ~self.wdata[1] & ~self.busy", "& ~self.busy"),
    ),
    *faults_in(
        "control/ahead.py",
        "hw/control/test_ahead.py",
        ("the room for words", "under_way + words <= self._room", "under_way < self._room"),
        ("all of the room", "under_way + words <= self._room", "under_way + words < self._room"),
        ("a segment on offer", "reading.eq(request.valid & ~request.ready)", "reading.eq(0)"),
        ("words that are thrown away", "self.i_words.valid & ~self.stop", "self.i_words.valid"),
        ("words under way", "~reading & (under_way == 0)", "~reading"),
        ("a segment that is still wanted", "wanted.eq(wanted - 1)", "wanted.eq(0)"),
    ),
    *faults_in(
        "control/controller.py",
        "hw/control/test_controller_failures.py",
        (
            "a slot that could not be read",
            "with m.If(failure != Error.NONE):  # the slot may not be what memory holds",
            "with m.If(0):",
        ),
        (
            "END's wait for the units",
            "slots.quiet & records.quiet & ~self.working",
            "slots.quiet & records.quiet",
        ),
    ),
    *faults_in(
        "control/controller.py",
        "hw/control/test_controller.py",
        ("the fence", "fenced = any_fields.fence & self.working", "fenced = 0"),
        (
            "thresholds that a MATMUL still needs",
            "~fenced & ~self.bank_busy.bit_select(self.bank, 1)",
            "~fenced",
        ),
        ("a program's own ENCODE", "started.eq(0),", "started.eq(1),"),
    ),
    *faults_in(
        "control/controller.py",
        "hw/control/test_controller_loops.py",
        ("the words of records at the end", "slots.quiet & records.quiet", "slots.quiet"),
    ),
    *faults_in(
        "control/controller.py",
        "hw/control/test_controller_fences.py",
        ("the wait of TOKEN", "with m.Elif(~self.working):", "with m.Elif(1):"),
        (
            "a fence on what the controller does itself",
            "Opcode.NEXT, Opcode.PREFILL, Opcode.LAYERS\n",
            "Opcode.END\n",
        ),
    ),
    *faults_in(
        "control/controller.py",
        "hw/control/test_controller_tokens.py",
        (
            "a stop token of the prompt",
            "with m.Elif(reply & stops):",
            "with m.Elif(stops):",
        ),
        ("the end of the vocabulary", "token >= fields[Opcode", "token > fields[Opcode"),
        (
            "the last position of the prompt",
            "position + 1 < self.prompt_end",
            "position < self.prompt_end",
        ),
        ("the token of a program before", "token.eq(0),", "token.eq(token),"),
    ),
    *faults_in(
        "control/slots.py",
        "hw/control/test_slots.py",
        (
            "a record that is taken",
            "slot.eq(slot ^ record), records_left.eq(records_left - 1)",
            "slot.eq(slot ^ record)",
        ),
        (
            "a record that there is not",
            "(records_left == 0) | self.failed",
            "self.failed",
        ),
        ("records that nobody took", "with m.If(records_left != 0):", "with m.If(0):"),
        (
            "the repetitions of a loop",
            "with m.If(layers_left != 1):",
            "with m.If(layers_left != 0):",
        ),
        ("what was read ahead of a jump", "with m.If(ahead.quiet):", "with m.If(1):"),
        ("the slots after a jump", "words, count - first)", "words, count)"),
        ("the end of the program", "with m.Elif(program_ends):", "with m.Elif(0):"),
        ("a slot after a failure", "with m.If(self.failed):", "with m.If(0):"),
        ("a sum that is too long", "total[len(length) :].any()", "0"),
    ),
    *faults_in(
        "control/placement.py",
        "hw/control/test_placement.py",
        (
            "the place of the position's row",
            "Mux(vector.b_by_position, position, 0)",
            "Mux(vector.b_by_position, self.token, 0)",
        ),
        (
            "the place of an ARGMAX",
            "number = (position + 1) << exact_log2",
            "number = position << exact_log2",
        ),
        ("the place of the token's row", "Mux(vector.a_by_token, self.token, 0)", "self.token"),
        ("the bits of a token number", "shifted.eq(shifted << 1)", "shifted.eq(shifted)"),
    ),
    *faults_in(
        "control/legal.py",
        "hw/control/test_legal.py",
        (
            "positions beyond 16 bits",
            "(~vector.b_by_position | ~position[POSITION_WIDTH:].any())",
            "1",
        ),
    ),
    *faults_in(
        "control/csr.py",
        "hw/control/test_csr.py",
        ("a start while busy", "& ~self.wdata[1] & ~self.busy", "& ~self.wdata[1]"),
        (
            "the latch of a counter's upper half",
            "counter_high.eq(counter[32:])",
            "counter_high.eq(0)",
        ),
        ("the strobes", "(field & ~mask) | (self.wdata & mask)", "self.wdata"),
    ),
]
