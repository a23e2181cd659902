// hw/matmul/fetch.py
#pragma once

#include "abi.h"
#include "events.h"
#include "memory_port.h"

struct RowWords {
    uint32_t words = 0, weight_width = 0;
};

struct Fetcher {
    const Params& p;
    // registers
    uint32_t tile = 0;
    bool valid = false, end = false, first = true, based = false, offered = false;
    uint64_t distance = 0, base = 0, base_of_matmul = 0;
    RowWords fetched, o_rows;
    Segment o;
    // combinational
    bool i_ready = false, move = false, both = false, o_valid = false, o_rows_valid = false;
    bool i_matmul_ready = false;

    explicit Fetcher(const Params& p) : p(p) {}

    void comb_request(bool o_rows_ready) { o_valid = offered && o_rows_ready; }

    void comb(bool i_matmul_valid, bool o_ready, bool o_rows_ready) {
        both = o_ready && o_rows_ready;
        move = end || !offered || both;
        o_rows_valid = offered && o_ready;
        i_ready = i_matmul_valid && (!valid || move);
    }

    void clock(bool i_valid, const Event& i, const Instruction* matmul) {
        if (both) offered = false;
        if (valid && move) {
            const uint64_t current_base = based ? base_of_matmul : base;
            valid = false;
            base = current_base + (end ? distance : 0);
            if (!end) {
                offered = true;
                o = {current_base + distance, fetched.words};
                o_rows = fetched;
            }
        }
        i_matmul_ready = i_valid && i_ready && i.last;
        if (!i_valid || !i_ready) return;
        const uint32_t words = matmul->extent(tile).row_words;
        const uint32_t pitch = matmul->strided ? matmul->full.row_words : words;
        valid = true;
        distance = uint64_t(i.channel) * pitch;
        fetched = {words, matmul->weight_width};
        end = i.end;
        based = first;
        base_of_matmul = matmul->weights / p.axi_bytes;
        first = i.last;
        tile = i.last ? 0 : tile + i.end;
    }
};
