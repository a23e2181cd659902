// hw/memory/bursts.py
#pragma once

#include <algorithm>

#include "memory_port.h"
#include "stream.h"

struct Bursts {
    uint32_t max_words, page_words;
    // registers
    uint64_t run_address = 0, run_end = 0;
    uint32_t run_words = 0;
    Buffer<Segment> leaving;
    // combinational
    bool i_ready = true, hand_over = false;
    uint32_t words = 0, rest_words = 0;

    Bursts(uint32_t max_words, uint32_t page_words)
        : max_words(max_words), page_words(page_words) {}

    void comb(bool i_valid, const Segment& i, bool hurry) {
        const uint32_t to_page_end = page_words - (run_address & (page_words - 1));
        const uint32_t longest = std::min(to_page_end, max_words);
        words = std::min(run_words, longest);
        const bool joins = i.address == run_end;
        const bool full = run_words >= longest;
        const bool complete = full || (i_valid ? !joins : hurry && !leaving.o_valid());
        hand_over = run_words && complete && leaving.i_ready();
        rest_words = run_words - (hand_over ? words : 0);
        i_ready = !rest_words || (joins && !full);
    }

    void clock(bool i_valid, const Segment& i, bool o_ready) {
        leaving.clock(hand_over, {run_address, words}, o_ready);
        if (hand_over) run_address += words;
        run_words = rest_words;
        if (i_valid && i_ready) {
            if (!rest_words) run_address = i.address;
            run_words += i.words;
            run_end = i.address + i.words;
        }
    }
};
