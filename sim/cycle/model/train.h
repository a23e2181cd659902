// hw/spike/train.py
#pragma once

#include "events.h"

struct SpikeTrain {
    // registers
    bool o_valid = false;
    Event o;
    // combinational
    bool i_ready = false, i_coding_ready = false;

    void comb(bool i_valid, const Event& i, bool i_coding_valid, bool o_ready) {
        i_ready = i_coding_valid && (!o_valid || o_ready);
        i_coding_ready = i_valid && i_ready && i.last;
    }

    void clock(bool i_valid, const Event& i, bool o_ready) {
        if (o_ready) o_valid = false;
        if (!i_valid || !i_ready) return;
        o_valid = true;
        o = i;
    }
};
