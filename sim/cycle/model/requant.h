// hw/matmul/requant.py
#pragma once

struct Requantizer {
    // registers: the stages that hold an element, as bits, the output's the highest
    static constexpr unsigned kOutput = 1u << 7;
    unsigned valid = 0;
    // combinational
    bool move = false;

    bool o_valid() const { return valid & kOutput; }
    bool busy(bool i_valid) const { return i_valid || valid; }
    bool i_ready() const { return move; }

    void comb(bool o_ready) { move = !o_valid() || o_ready; }

    void clock(bool i_valid) {
        if (move) valid = (valid << 1 | i_valid) & (2 * kOutput - 1);
    }
};
