// hw/matmul/array.py
#pragma once

struct PEArray {
    // registers
    bool valid = false, store = false, store_valid = false;

    bool storing() const { return valid && store_valid; }
    bool idle(bool i_valid) const { return !valid && !store_valid && !i_valid; }

    void clock(bool i_valid, bool last_step) {
        store_valid = valid && store;
        valid = i_valid;
        if (i_valid) store = last_step;
    }
};
