// hw/matmul/beats.py
#pragma once

#include <algorithm>

#include "abi.h"
#include "fetch.h"

struct Beats {
    const Params& p;
    // registers
    uint32_t taken_words = 0, word_index = 0, beat_index = 0;
    bool o_valid = false;
    // combinational
    bool complete = false, exhausted = false, move = false, i_ready = false;
    bool word_taken = false, i_rows_ready = false, o_scales_valid = false;

    explicit Beats(const Params& p) : p(p) {}

    void comb(bool i_rows_valid, const RowWords& row, bool i_valid, bool o_ready,
              bool o_scales_ready) {
        const uint32_t beat_bits = p.lanes * row.weight_width, word_bits = 8 * p.axi_bytes;
        complete = (word_index + 1) * word_bits >= beat_bits;
        exhausted = (beat_index + 1) * beat_bits >= word_bits;
        const bool free = !complete || !o_valid || o_ready;
        move = i_valid && i_rows_valid && !row.scales && free;
        i_ready = i_rows_valid &&
                  (row.scales ? o_scales_ready : (!complete || exhausted) && free);
        o_scales_valid = i_valid && i_rows_valid && row.scales;
        word_taken = i_valid && i_ready;
        i_rows_ready = word_taken && taken_words == row.words - 1;
    }

    void clock(bool o_ready) {
        if (word_taken) taken_words = i_rows_ready ? 0 : taken_words + 1;
        if (o_ready) o_valid = false;
        if (!move) return;
        if (complete) {
            o_valid = true;
            beat_index = exhausted ? 0 : beat_index + 1;
            word_index = 0;
        } else {
            ++word_index;
        }
    }
};
