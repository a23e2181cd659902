// hw/spike/train.py
#pragma once

#include "events.h"

struct SpikeTrain {
    // registers
    bool held_valid = false, o_valid = false;
    Event held, o;
    // combinational
    bool moves = false, i_ready = false, i_coding_ready = false;

    void comb(bool i_coding_valid, bool o_ready) {
        moves = i_coding_valid && (!o_valid || o_ready);
        i_ready = !held_valid || moves;
        i_coding_ready = held_valid && moves && held.last;
    }

    void clock(bool i_valid, const Event& i, bool o_ready) {
        if (o_ready) o_valid = false;
        if (held_valid && moves) {
            o_valid = true;
            o = held;
        }
        if (!i_ready) return;
        held_valid = i_valid;
        if (i_valid) held = i;
    }
};
