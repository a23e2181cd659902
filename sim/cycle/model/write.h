// hw/memory/write.py
#pragma once

#include <algorithm>

#include "abi.h"
#include "memory_port.h"
#include "rows.h"

struct WritePort {
    enum class Phase { kRow, kAddress, kData };
    const Params& p;
    // registers
    Phase phase = Phase::kRow;
    uint64_t address = 0;
    uint32_t first = 0, end = 0;  // bytes of the row, from this word on
    uint32_t words = 0, burst_words = 0, pending = 0;
    bool o_data_valid = false, o_data_last = false;
    uint64_t o_data_strobe = 0;
    // combinational
    bool i_ready = false, sent = false;

    explicit WritePort(const Params& p) : p(p) {}

    bool busy() const { return phase != Phase::kRow || pending; }
    bool i_row_ready() const { return phase == Phase::kRow; }
    bool o_address_valid() const { return phase == Phase::kAddress; }
    uint32_t bytes() const { return sent ? __builtin_popcountll(o_data_strobe) : 0; }

    Segment o_address() const {
        const uint32_t page_words = 4096 / p.axi_bytes;
        const uint32_t to_page_end = page_words - (address & (page_words - 1));
        return {address, std::min({words, to_page_end, p.max_burst_words})};
    }

    void comb(bool o_data_ready) {
        sent = o_data_valid && o_data_ready;
        i_ready = phase == Phase::kData && burst_words && (!o_data_valid || o_data_ready);
    }

    void clock(bool row_valid, const Row& row, bool word_valid, bool o_address_ready,
               bool response) {
        if (o_address_valid() && o_address_ready) ++pending;
        pending -= response;
        if (sent) o_data_valid = false;
        switch (phase) {
            case Phase::kRow:
                if (!row_valid) break;
                address = row.address / p.axi_bytes;
                first = row.address % p.axi_bytes;
                end = first + row.bytes;
                words = (end + p.axi_bytes - 1) / p.axi_bytes;
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
                    const uint32_t until = std::min(end, p.axi_bytes);
                    o_data_valid = true;
                    o_data_strobe = below(until) & ~below(first);
                    o_data_last = burst_words == 1;
                    end -= until;
                    first = 0;
                    --burst_words;
                }
                break;
        }
    }

  private:
    static uint64_t below(uint32_t byte) {
        return byte < 64 ? (uint64_t(1) << byte) - 1 : ~uint64_t(0);
    }
};
