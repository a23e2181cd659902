// hw/matmul/channel_words.py
#pragma once

#include "abi.h"
#include "memory_port.h"

struct ChannelWords {
    enum class Phase { kIdle, kRequest, kLoad };
    const Params& p;
    // registers
    Phase phase = Phase::kIdle;
    uint32_t tile = 0, words_left = 0, loaded = 0;
    bool half = false;
    uint64_t address = 0;
    // combinational
    bool o_request_valid = false, i_words_ready = false, i_ready = false;
    Segment o_request;

    explicit ChannelWords(const Params& p) : p(p) {}

    void comb(const Instruction* matmul, bool word_valid) {
        o_request_valid = phase == Phase::kRequest && !(loaded >> half & 1);
        i_words_ready = phase == Phase::kLoad;
        i_ready = i_words_ready && word_valid && words_left == 1 && tile == matmul->tiles - 1;
        if (!o_request_valid) return;
        const uint32_t groups =
            (matmul->extent(tile).outputs + p.encode_lanes - 1) / p.encode_lanes;
        o_request = {address, groups << matmul->has_bias};
    }

    void clock(bool i_valid, const Instruction* matmul, bool request_ready, bool word_valid,
               uint32_t release) {
        loaded &= ~release;
        switch (phase) {
            case Phase::kIdle:
                tile = 0;
                if (!i_valid) break;
                address = matmul->channel_words / p.axi_bytes;
                phase = Phase::kRequest;
                break;
            case Phase::kRequest:
                if (!o_request_valid || !request_ready) break;
                words_left = o_request.words;
                address += o_request.words;
                phase = Phase::kLoad;
                break;
            case Phase::kLoad:
                if (!word_valid || --words_left) break;
                loaded |= 1u << half;
                half = !half;
                ++tile;
                phase = i_ready ? Phase::kIdle : Phase::kRequest;
                break;
        }
    }
};
