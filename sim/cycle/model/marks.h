// hw/spike/marks.py
#pragma once

#include "abi.h"
#include "events.h"

struct GroupMarks {
    const Params& p;
    // registers
    bool waits = false;
    uint32_t channel = 0;
    // combinational
    bool mark = false, o_valid = false, i_ready = false, i_group_ready = false;
    Event o;

    explicit GroupMarks(const Params& p) : p(p) {}

    void comb_offer(bool i_valid, const Event& i, bool i_group_valid, uint32_t group) {
        o_valid = i_valid && (!p.grouped || i_group_valid);
        mark = p.grouped && waits && (i.end || (group && i.channel / group != channel / group));
        o = i;
        if (mark) o = {channel, 0, false, false, i.matmul, true};
    }

    void comb(bool i_valid, const Event& i, bool i_group_valid, bool o_ready) {
        i_ready = o_ready && !mark && (!p.grouped || i_group_valid);
        i_group_ready = i_valid && i_ready && i.last;
    }

    void clock(const Event& i, uint32_t group, bool o_ready) {
        if (!o_valid || !o_ready) return;
        waits = group && !mark && !i.end;
        channel = i.channel;
    }
};
