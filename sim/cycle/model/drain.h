// hw/matmul/drain.py
#pragma once

#include "abi.h"
#include "rows.h"
#include "sequencer.h"

struct DrainMatmul {
    const Instruction* matmul = nullptr;
    uint32_t tokens = 0;
    bool bank = false;
};

struct Drain {
    enum class Phase { kTile, kRow, kWords, kRelease };
    const Params& p;
    // registers
    Phase phase = Phase::kTile;
    uint32_t tile = 0, token = 0, group = 0, read_group = 0;
    bool first = true, o_valid = false, there = false, read_last = false;
    uint64_t tile_address = 0, row_address = 0;
    // combinational
    bool begins = false, move = false, taken = false, enable = false, ready = false;
    bool i_tile_ready = false, i_matmul_ready = false;
    uint32_t outputs = 0, release = 0;

    explicit Drain(const Params& p) : p(p) {}

    bool o_row_valid() const { return phase == Phase::kRow; }
    Row o_row() const { return {row_address, 4 * outputs}; }
    bool busy(bool i_tile_valid) const {
        return phase != Phase::kTile || i_tile_valid || o_valid;
    }

    void comb(bool i_matmul_valid, const DrainMatmul& i_matmul, bool i_tile_valid,
              const Tile& i_tile, uint32_t loaded, uint32_t scales_ready, bool array_ready,
              bool o_ready) {
        move = !o_valid || o_ready;
        ready = array_ready;
        taken = there && move && phase == Phase::kWords;
        enable = (phase == Phase::kRow || phase == Phase::kWords) &&
                 (!there || (taken && !read_last));
        i_tile_ready = phase == Phase::kRelease && move;
        release = i_tile_ready ? 1u << i_tile.half : 0;
        begins = phase == Phase::kTile && i_matmul_valid && i_tile_valid &&
                 loaded >> i_tile.half & 1 && scales_ready >> i_matmul.bank & 1;
        i_matmul_ready = false;
        if (!i_matmul_valid) return;
        outputs = i_matmul.matmul->extent(tile).outputs;
        i_matmul_ready = i_tile_ready && tile == i_matmul.matmul->tiles - 1;
    }

    void clock(const DrainMatmul& i_matmul, bool o_row_ready, bool o_ready) {
        if (o_ready) o_valid = false;
        o_valid |= taken;
        const bool row_ends = taken && read_last;
        if (enable && ready) {
            there = true;
            read_group = group++;
            read_last = group * p.encode_lanes >= outputs;
        } else if (taken || !ready) {
            if (there && !taken) group = read_group;
            there = false;
        }
        switch (phase) {
            case Phase::kTile:
                if (!begins) break;
                token = group = 0;
                row_address = first ? i_matmul.matmul->destination : tile_address;
                tile_address = row_address + 4 * p.tile_outputs;
                first = false;
                phase = Phase::kRow;
                break;
            case Phase::kRow:
                if (o_row_ready) phase = Phase::kWords;
                break;
            case Phase::kWords:
                if (!row_ends) break;
                group = 0;
                row_address += i_matmul.matmul->destination_stride;
                phase = ++token == i_matmul.tokens ? Phase::kRelease : Phase::kRow;
                break;
            case Phase::kRelease:
                if (!move) break;
                tile = i_matmul_ready ? 0 : tile + 1;
                first = i_matmul_ready;
                phase = Phase::kTile;
                break;
        }
    }
};
