// hw/matmul/sequencer.py
#pragma once

#include <algorithm>

#include "abi.h"
#include "events.h"

struct Tile {  // or a group of it
    bool half = false, group = false, sums = false;
};

struct Sequencer {
    const Params& p;
    // registers
    uint32_t tile = 0, occupied = 0, bank = 0, outputs_left = 0;
    bool half = false, fresh = true, untouched = true;
    uint32_t pending = 0;  // steps of the beat that are left
    // combinational
    bool o_valid = false, last_step = false, stalled = false, i_beats_ready = false;
    bool i_ready = false, o_tile_valid = false, i_matmul_ready = false, last_bank = false;
    Tile o_tile;
    uint32_t rest = 0, left = 0, lanes = 0, spikes = 0;

    explicit Sequencer(const Params& p) : p(p) {}

    void comb(bool i_valid, const Event& train, bool i_matmul_valid, const Instruction* matmul,
              bool beat_valid, bool array_idle, bool array_storing, bool o_tile_ready) {
        const bool half_free = !(occupied >> half & 1);
        const bool at_work = i_valid && i_matmul_valid && half_free;
        const Extent* const extent = at_work ? &matmul->extent(tile) : nullptr;
        const bool early = at_work && fresh && array_storing && extent->row_beats == 2;
        const bool mark = train.end || train.group_end;
        const bool event = at_work && !mark && !early;
        o_valid = event && beat_valid;
        stalled = event && !beat_valid;
        last_step = last_bank = false;
        if (event) {
            rest = (fresh ? matmul->steps[train.index] : pending) - 1;
            last_step = !rest;
            left = bank ? outputs_left : extent->outputs;
            lanes = std::min(left, p.lanes);
            last_bank = bank == extent->row_beats - 1;
            spikes = matmul->spikes[train.index];
        }
        i_beats_ready = event && last_step;
        const bool known = i_valid && i_matmul_valid;
        o_tile = {half, train.group_end, known && train.end && matmul->group_channels};
        o_tile_valid = known && mark && (o_tile.sums || (half_free && array_idle));
        const bool tile_handed = o_tile_valid && o_tile_ready;
        i_ready = (o_valid && last_step && last_bank) || tile_handed;
        i_matmul_ready = tile_handed && train.last;
    }

    // Whether the array loads its accumulators for the operation of this cycle.
    bool loads() const { return fresh && !untouched; }

    // Additions that the array makes in this cycle; those of all steps of a beat at its last one.
    uint64_t synaptic_operations() const {
        return o_valid && last_step ? uint64_t(spikes) * lanes : 0;
    }

    void clock(bool o_tile_ready, bool last, uint32_t release) {
        if (o_valid) {
            fresh = last_step;
            pending = rest;
            if (last_step) {
                bank = last_bank ? 0 : bank + 1;
                outputs_left = left - lanes;
                if (last_bank) untouched = false;
            }
        }
        occupied &= ~release;
        if (o_tile_valid && o_tile_ready) {
            if (!o_tile.sums) {
                occupied |= 1u << half;
                half = !half;
                untouched = true;
            }
            if (!o_tile.group) tile = last ? 0 : tile + 1;
        }
    }
};
