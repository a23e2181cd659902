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
    enum class Phase { kTile, kGroup, kRow, kWords, kRelease };
    const Params& p;
    static constexpr unsigned kScaler = (1u << 8) - 1;  // its stages, all together
    // registers
    Phase phase = Phase::kTile;
    uint32_t tile = 0, token = 0, group = 0, read_group = 0, read_token = 0;
    unsigned scaling = 0;  // words of outputs inside the scaler, by stage, as bits
    bool words_half = false, first = true, o_valid = false, there = false, read_last = false;
    uint64_t tile_address = 0, row_address = 0;
    // combinational
    bool begins = false, move = false, taken = false, enable = false, ready = false;
    bool i_tile_ready = false, i_matmul_ready = false;
    bool i_scales_ready = false;
    uint32_t outputs = 0, release = 0, release_words = 0;

    explicit Drain(const Params& p) : p(p) {}

    bool o_row_valid() const { return phase == Phase::kRow; }
    Row o_row() const { return {row_address, 4 * outputs}; }
    bool busy(bool i_tile_valid) const {
        return phase != Phase::kTile || i_tile_valid || o_valid;
    }

    void comb(bool i_matmul_valid, const DrainMatmul& i_matmul, bool i_tile_valid,
              const Tile& i_tile, uint32_t loaded, uint32_t scales_ready, bool array_ready,
              bool o_ready, bool scales_valid) {
        const bool of_group = phase == Phase::kGroup;
        move = !o_valid || o_ready;
        ready = array_ready || i_tile.sums;
        taken = there && (of_group ? scales_valid : move && phase == Phase::kWords);
        enable = (phase == Phase::kGroup || phase == Phase::kRow || phase == Phase::kWords) &&
                 (!there || (taken && !read_last));
        const bool tile_ends = phase == Phase::kRelease && move;
        const bool group_ends = of_group && taken && read_last;
        i_tile_ready = tile_ends || group_ends;
        release = i_tile_ready && !i_tile.sums ? 1u << i_tile.half : 0;
        release_words = tile_ends ? 1u << words_half : 0;
        begins = phase == Phase::kTile && i_matmul_valid && i_tile_valid && !scaling &&
                 (i_tile.group ||
                  (loaded >> words_half & 1 && scales_ready >> i_matmul.bank & 1));
        i_matmul_ready = i_scales_ready = false;
        if (!i_matmul_valid) return;
        const Instruction& matmul = *i_matmul.matmul;
        outputs = matmul.extent(tile).outputs;
        i_matmul_ready = tile_ends && tile == matmul.tiles - 1;
        i_scales_ready = of_group && taken && read_token == i_matmul.tokens - 1 &&
                         (read_last || read_group % matmul.scale_parts == matmul.scale_parts - 1);
    }

    void clock(const DrainMatmul& i_matmul, const Tile& i_tile, bool o_row_ready, bool o_ready) {
        const bool of_group = phase == Phase::kGroup;
        if (o_ready) o_valid = false;
        o_valid |= taken && !of_group;
        scaling = (scaling << 1 | (taken && of_group)) & kScaler;
        const bool row_ends = taken && read_last;
        if (enable && ready) {
            there = true;
            read_group = group;
            read_token = token;
            const bool last_token = token == i_matmul.tokens - 1;
            read_last = (group + 1) * p.encode_lanes >= outputs && (!of_group || last_token);
            if (of_group) token = last_token ? 0 : token + 1;
            group += !of_group || last_token;
        } else if (taken || !ready) {
            if (there && !taken) {
                group = read_group;
                token = read_token;
            }
            there = false;
        }
        switch (phase) {
            case Phase::kTile:
                token = group = 0;
                if (!begins) break;
                if (i_tile.group) {
                    phase = Phase::kGroup;
                    break;
                }
                row_address = first ? i_matmul.matmul->destination : tile_address;
                tile_address = row_address + 4 * p.tile_outputs;
                first = false;
                phase = Phase::kRow;
                break;
            case Phase::kGroup:
                if (row_ends) phase = Phase::kTile;
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
                words_half = !words_half;
                tile = i_matmul_ready ? 0 : tile + 1;
                first = i_matmul_ready;
                phase = Phase::kTile;
                break;
        }
    }
};
