// hw/memory/guard.py, while it is open: a write's address waits in it, all else passes
#pragma once

#include "memory_port.h"

struct Guard {
    // registers
    bool o_write_valid = false;
    Segment o_write;

    bool i_write_ready(bool o_write_ready) const { return !o_write_valid || o_write_ready; }

    void clock(bool i_write_valid, const Segment& i_write, bool o_write_ready) {
        if (!i_write_ready(o_write_ready)) return;
        o_write_valid = i_write_valid;
        o_write = i_write;
    }
};
