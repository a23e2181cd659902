// hw/memory/rows.py
#pragma once

#include "abi.h"

enum WriteClient { kResults, kVectorRows, kCache, kWriteClients };

struct Row {  // a run of bytes
    uint64_t address = 0;
    uint32_t bytes = 0;
};

struct RowMux {
    const Params& p;
    // registers
    uint32_t left = 0;
    int kept = 0, owner = 0;
    bool waits = false;
    // combinational
    int chosen = 0;
    bool o_row_valid = false, o_valid = false;
    bool row_ready[kWriteClients] = {}, word_ready[kWriteClients] = {};

    explicit RowMux(const Params& p) : p(p) {}

    void comb(const bool* rows, const bool* words, bool o_row_ready, bool o_ready) {
        int offered = 0;
        for (int i = kWriteClients; i--;)
            if (rows[i]) offered = i;
        chosen = waits ? kept : offered;
        o_row_valid = rows[chosen] && !left;
        o_valid = words[owner] && left;
        for (int i = 0; i < kWriteClients; ++i) {
            row_ready[i] = o_row_ready && !left && chosen == i;
            word_ready[i] = o_ready && left && owner == i;
        }
    }

    void clock(const Row& row, bool o_row_ready, bool o_ready) {
        waits = o_row_valid && !o_row_ready;
        kept = chosen;
        if (o_row_valid && o_row_ready) {
            owner = chosen;
            left = (row.address % p.axi_bytes + row.bytes + p.axi_bytes - 1) / p.axi_bytes;
        } else if (o_valid && o_ready) {
            --left;
        }
    }
};
