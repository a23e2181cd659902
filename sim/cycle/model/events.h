// hw/spike/events.py
#pragma once

#include "abi.h"
#include "spikes.h"

struct Event {  // or the mark that ends a tile, or a group of channels
    uint32_t channel = 0, index = 0;  // index: among the events of the batch
    bool end = false, last = false;
    const Instruction* matmul = nullptr;
    bool group_end = false;
};

struct Walk {  // of a MATMUL; without one, a new batch
    const Instruction* matmul = nullptr;
};

struct EventQueue {
    // registers
    uint32_t tile = 0, next_word = 0, searched = 0;
    bool word_valid = false;
    uint32_t fires = 0, lowest = 0;  // channels of the word that are left, and the first of them
    bool o_valid = false;
    Event o;
    // combinational
    bool free = false, scan_enable = false, word_taken = false, event_taken = false;
    bool ends = false, last_tile = false, i_batch_ready = false, i_ready = false;

    void comb(bool i_valid, const Walk& i, bool i_batch_valid, const SpikeBuffer& spikes,
              bool o_ready) {
        const bool walking = i_valid && i.matmul;
        free = !o_valid || o_ready;
        event_taken = fires && free;
        word_taken = word_valid && (!fires || (fires == 1 && event_taken));
        scan_enable =
            walking && next_word < spikes.ready_words && (!word_valid || word_taken);
        ends = walking && !fires && !word_valid && searched == spikes.words() && free;
        last_tile = walking && tile == i.matmul->tiles - 1;
        i_batch_ready = i_valid && !i.matmul && !o_valid;
        i_ready = (ends && last_tile) || (i_batch_ready && i_batch_valid);
    }

    void clock(const Walk& i, const SpikeBuffer& spikes) {
        if (word_taken) word_valid = false;
        if (scan_enable) {
            word_valid = true;
            ++next_word;
        }
        if (free) {
            o_valid = event_taken || ends;
            if (event_taken)
                o = {spikes.batch.event_channels[lowest], lowest, false, false, i.matmul, false};
            else if (ends)
                o = {spikes.channels(), 0, true, last_tile, i.matmul, false};
        }
        if (event_taken) {
            ++lowest;
            --fires;
        }
        if (word_taken) {
            const uint32_t* first_events = spikes.batch.first_events;
            lowest = first_events[searched];
            fires = first_events[searched + 1] - lowest;
            ++searched;
        }
        if (ends) {
            next_word = searched = 0;
            tile = last_tile ? 0 : tile + 1;
        }
    }
};
