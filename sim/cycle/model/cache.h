// hw/spike/kv_cache.py
#pragma once

#include "abi.h"
#include "rows.h"

struct CacheWriter {
    enum class Phase { kIdle, kPlace, kBase, kHead, kCollect, kScale, kScaleWord, kRow, kRead, kWord };
    const Params& p;
    // registers
    Phase phase = Phase::kIdle;
    const Instruction* job = nullptr;
    uint32_t came = 0, head = 0, index = 0;
    bool scaled = false;
    uint64_t code_base = 0, code_address = 0, scale_address = 0;

    explicit CacheWriter(const Params& p) : p(p) {}

    bool busy() const { return phase != Phase::kIdle; }
    bool i_ready() const { return !busy(); }
    bool i_head_ready() const { return phase == Phase::kHead; }
    bool o_row_valid() const { return phase == Phase::kScale || phase == Phase::kRow; }
    bool o_valid() const { return phase == Phase::kScaleWord || phase == Phase::kWord; }

    Row o_row() const {
        if (phase == Phase::kScale) return {scale_address, 4};
        return {code_address, job->values ? job->channels : 1};
    }

    void clock(const Instruction* accepted, bool head_valid, bool counts_valid, bool scale_valid,
               bool row_ready, bool word_ready) {
        const uint32_t groups = busy() ? (job->channels + p.encode_lanes - 1) / p.encode_lanes : 0;
        const bool complete = came == groups && scaled;
        came += counts_valid;
        scaled |= scale_valid;
        switch (phase) {
            case Phase::kIdle:
                head = 0;
                if (!accepted) break;
                job = accepted;
                phase = Phase::kPlace;
                break;
            case Phase::kPlace:
                scale_address = job->scales;
                phase = Phase::kBase;
                break;
            case Phase::kBase:
                code_base = job->codes;
                phase = Phase::kHead;
                break;
            case Phase::kHead:
                came = index = 0;
                scaled = false;
                code_address = code_base;
                if (head_valid) phase = Phase::kCollect;
                break;
            case Phase::kCollect:
                if (complete) phase = Phase::kScale;
                break;
            case Phase::kScale:
                if (row_ready) phase = Phase::kScaleWord;
                break;
            case Phase::kScaleWord:
                if (word_ready) phase = Phase::kRow;
                break;
            case Phase::kRow:
                if (row_ready) phase = Phase::kWord;
                break;
            case Phase::kRead:
                phase = Phase::kWord;
                break;
            case Phase::kWord:
                if (!word_ready) break;
                index += job->values ? p.axi_bytes : 1;
                code_address += p.tile_outputs;
                phase = job->values ? Phase::kRead : Phase::kRow;
                if (index < job->channels) break;
                code_base += job->codes_stride;
                scale_address += job->scales_stride;
                phase = ++head == job->tokens ? Phase::kIdle : Phase::kHead;
                break;
        }
    }
};
