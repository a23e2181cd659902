// hw/spike/buffer.py
#pragma once

#include "abi.h"

struct SpikeBuffer {
    const Params& p;
    // registers
    Instruction batch{};  // its own: the controller forgets it
    uint32_t ready_words = 0;

    explicit SpikeBuffer(const Params& p) : p(p) {}

    uint32_t channels() const { return batch.channels; }
    uint32_t words() const { return (channels() + p.scan_width - 1) / p.scan_width; }

    void clock(bool i_valid, uint32_t token, uint32_t group, const Instruction* i_batch) {
        if (i_valid && token == batch.tokens - 1) {
            const uint32_t groups_per_word = p.scan_width / p.encode_lanes;
            const bool last = group == (batch.channels - 1) / p.encode_lanes;
            ready_words = last ? group / groups_per_word + 1 : (group + 1) / groups_per_word;
        }
        if (i_batch) {
            batch = *i_batch;
            ready_words = 0;
        }
    }
};
