// hw/matmul/fetch.py
#pragma once

#include "abi.h"
#include "events.h"
#include "memory_port.h"

struct RowWords {
    uint32_t words = 0, weight_width = 0;
    bool scales = false;
};

struct Fetcher {
    struct Placed {
        uint64_t distance = 0, base_of_matmul = 0;
        RowWords row;
        bool end = false, based = false;
    };
    const Params& p;
    // registers
    uint32_t tile = 0;
    bool held_valid = false, valid = false, first = true, offered = false, settled = false;
    uint64_t base = 0;
    Placed held, placed;  // held: only where the hardware has groups
    RowWords o_rows;
    Segment o;
    // combinational
    bool i_ready = false, move = false, both = false, o_valid = false, o_rows_valid = false;
    bool i_matmul_ready = false;

    explicit Fetcher(const Params& p) : p(p) {}

    void comb_request(bool o_rows_ready) { o_valid = offered && o_rows_ready; }

    void comb(bool i_matmul_valid, const Instruction* matmul, bool o_ready, bool o_rows_ready) {
        both = o_ready && o_rows_ready;
        move = placed.end || !offered || both;
        o_rows_valid = offered && o_ready;
        const bool accepts = !valid || move || (p.grouped && !held_valid);
        i_ready = i_matmul_valid && accepts && (!p.grouped || settled || !matmul->group_channels);
    }

    void clock(bool i_valid, const Event& i, bool i_matmul_valid, const Instruction* matmul) {
        const bool taken = i_valid && i_ready;
        if (both) offered = false;
        if (valid && move) {
            const uint64_t current_base = placed.based ? placed.base_of_matmul : base;
            base = current_base + (placed.end ? placed.distance : 0);
            if (!placed.end) {
                offered = true;
                o = {current_base + placed.distance, placed.row.words};
                o_rows = placed.row;
            }
        }
        if (!valid || move) {
            valid = held_valid;
            placed = held;
            held_valid = false;
        }
        settled = i_matmul_valid && !(taken && i.end);
        i_matmul_ready = taken && i.last;
        if (!taken) return;
        (p.grouped ? held_valid : valid) = true;
        (p.grouped ? held : placed) = found(i, *matmul);
        first = i.last;
        tile = i.last ? 0 : tile + i.end;
    }

  private:
    Placed found(const Event& i, const Instruction& matmul) const {
        const Extent& extent = matmul.extent(tile);
        const Extent& spread = matmul.strided ? matmul.full : extent;
        const uint64_t pitch = spread.row_words, size = matmul.group_channels;
        Placed place;
        place.base_of_matmul = matmul.weights / p.axi_bytes;
        place.end = i.end;
        place.based = first;
        place.row = {i.group_end ? extent.scale_words : extent.row_words, matmul.weight_width,
                     i.group_end};
        if (!size) {
            place.distance = i.channel * pitch;
            return place;
        }
        const uint64_t whole = size * pitch + spread.scale_words;  // a group and its scales
        const uint64_t group = (i.end ? i.channel + size - 1 : i.channel) / size;
        const uint64_t within = i.end ? 0 : i.group_end ? size : i.channel % size;
        place.distance = group * whole + within * pitch;
        return place;
    }
};
