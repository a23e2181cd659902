// hw/write.py
#pragma once

#include <algorithm>

#include "abi.h"
#include "memory_port.h"

struct WritePort {
    enum class Phase { kRow, kAddress, kData };
    const Params& p;
    // registers
    Phase phase = Phase::kRow;
    uint64_t address = 0;
    uint32_t elements = 0, words = 0, burst_words = 0, pending = 0;
    bool o_data_valid = false, o_data_last = false;
    uint32_t o_data_bytes = 0;  // of the strobe
    // combinational
    bool i_ready = false, sent = false;

    explicit WritePort(const Params& p) : p(p) {}

    bool busy() const { return phase != Phase::kRow || pending; }
    bool i_row_ready() const { return phase == Phase::kRow; }
    bool o_address_valid() const { return phase == Phase::kAddress; }
    uint32_t bytes() const { return sent ? o_data_bytes : 0; }

    Segment o_address() const {
        const uint32_t page_words = 4096 / p.axi_bytes;
        const uint32_t to_page_end = page_words - (address & (page_words - 1));
        return {address, std::min({words, to_page_end, p.max_burst_words})};
    }

    void comb(bool o_data_ready) {
        sent = o_data_valid && o_data_ready;
        i_ready = phase == Phase::kData && burst_words && (!o_data_valid || o_data_ready);
    }

    void clock(bool row_valid, uint64_t row_address, uint32_t row_elements, bool word_valid,
               bool o_address_ready, bool response) {
        if (o_address_valid() && o_address_ready) ++pending;
        pending -= response;
        if (sent) o_data_valid = false;
        switch (phase) {
            case Phase::kRow:
                if (!row_valid) break;
                address = row_address / p.axi_bytes;
                elements = row_elements;
                words = (row_elements + p.encode_lanes - 1) / p.encode_lanes;
                phase = Phase::kAddress;
                break;
            case Phase::kAddress:
                if (!o_address_ready) break;
                burst_words = o_address().words;
                address += burst_words;
                words -= burst_words;
                phase = Phase::kData;
                break;
            case Phase::kData:
                if (!burst_words) {
                    if (sent) phase = words ? Phase::kAddress : Phase::kRow;
                } else if (word_valid && i_ready) {
                    o_data_valid = true;
                    o_data_bytes = 4 * std::min(elements, p.encode_lanes);
                    o_data_last = burst_words == 1;
                    elements -= std::min(elements, p.encode_lanes);
                    --burst_words;
                }
                break;
        }
    }
};
