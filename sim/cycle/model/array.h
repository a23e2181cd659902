// hw/matmul/array.py
#pragma once

struct PEArray {
    // registers
    bool taken = false, taken_last = false, loads = false;
    bool valid = false, store = false, store_valid = false;

    bool storing() const { return taken && valid && store; }
    bool idle() const { return !taken && !valid && !store_valid; }

    void clock(bool i_valid, bool last_step, bool i_loads) {
        store_valid = valid && store;
        valid = taken;
        store = taken_last;
        taken = i_valid;
        taken_last = last_step;
        loads = i_valid && i_loads;
    }
};
