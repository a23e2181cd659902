// hw/control/controller.py, with slots.py, ahead.py and placement.py, for programs without errors
#pragma once

#include <deque>

#include "abi.h"
#include "memory_port.h"

struct Controller {
    enum class Phase {
        kHeader, kNext, kRead, kRecord, kLengthen, kSettle, kDecode, kEncode, kMatmul, kStore,
        kProducts, kPlace, kVector, kToken, kNumber, kCompare, kCheck, kNextPosition, kPrefill,
        kLayers, kJump, kFinish, kIdle
    };
    static constexpr uint32_t kTokenBits = 24, kPositionBits = 16;
    const Params& p;
    const Host host;
    // Instructions in the order of their execution; those before the last TOKEN are forgotten.
    std::deque<Instruction> program;
    size_t decoded = 0;                  // how many of them
    const Instruction* slot = nullptr;   // the last of these
    // registers, as the start leaves them
    Phase phase = Phase::kHeader;
    bool reading = true, first_request = true, known = false;
    uint64_t base, address;
    uint32_t slots_wanted = 0, words_under_way = 0, words_left;
    uint32_t records_wanted = 0, record_words = 0;
    uint64_t record_address = 0;
    bool token_wanted = false;
    uint32_t next_slot = 0, loop_begin = 0, loop_end = 0, layers_left = 0;
    bool looping = false;
    uint32_t position;
    uint32_t tokens = 0;
    bool bank_register = false;
    uint32_t bits_left = 0;  // of a product, in Placement
    bool working = false;
    // combinational
    bool bank = false, fenced = false, o_encode_valid = false, o_matmul_valid = false;
    bool o_vector_valid = false, o_store_valid = false;
    bool word_ready = false, request_valid = false, done = false;
    bool record_ready = false, records_valid = false;
    Segment request, records;

    Controller(const Params& p, const Host& host)
        : p(p), host(host), base(host.program / p.axi_bytes + p.header_words),
          address(host.program / p.axi_bytes), words_left(p.header_words),
          position(host.first_position) {}

    bool busy() const { return phase != Phase::kIdle; }
    // The next cycle depends on an instruction that is not there yet.
    bool starved() const {
        return phase == Phase::kRead && !words_left && decoded == program.size();
    }

    void comb(const uint32_t* under_way) {
        const uint32_t words = p.slot_words + (first_request ? p.header_words : 0);
        request = {address, words};
        request_valid = reading && (first_request || (known && slots_wanted)) &&
                        words_under_way <= 3 * p.header_words - p.slot_words;
        records = {record_address, token_wanted ? 1 : p.slot_words};
        records_valid = token_wanted || (records_wanted && record_words <= 3 * p.slot_words);
        word_ready = phase == Phase::kFinish || phase == Phase::kJump ||
                     ((phase == Phase::kHeader || phase == Phase::kRead) && words_left);
        record_ready = phase == Phase::kFinish || phase == Phase::kNumber ||
                       (phase == Phase::kRecord && words_left);
        fenced = slot && slot->fence && working;
        bank = bank_register ^ (phase == Phase::kEncode);
        o_encode_valid = phase == Phase::kEncode && !fenced && !under_way[bank];
        o_matmul_valid = phase == Phase::kMatmul && !fenced;
        o_vector_valid = phase == Phase::kVector && !fenced;
        o_store_valid = phase == Phase::kStore && !fenced;
        const bool quiet = !reading && !words_under_way && !records_wanted && !record_words;
        done = phase == Phase::kFinish && quiet && !working;
    }

    void clock(bool request_ready, bool word_valid, bool records_ready, bool record_valid,
               bool taken, bool works) {  // taken: the instruction on offer
        const bool requested = request_valid && request_ready;
        const bool word_taken = word_valid && word_ready;
        const bool record_requested = records_valid && records_ready;
        const bool record_taken = record_valid && record_ready;
        const bool complete = !words_left, unread = !words_under_way, was_reading = reading;
        words_under_way += requested ? request.words : 0;
        words_under_way -= word_taken;
        words_left -= word_taken;
        if (requested) {
            address += request.words;
            slots_wanted -= !first_request;
            first_request = false;
        }
        record_words += record_requested ? records.words : 0;
        record_words -= record_taken;
        if (record_requested) {
            record_address += records.words;
            records_wanted -= !token_wanted;
            token_wanted = false;
        }
        switch (phase) {
            case Phase::kIdle:
                break;
            case Phase::kHeader:
                if (!complete) break;
                slots_wanted = host.slots - 1;
                known = true;
                phase = Phase::kNext;
                break;
            case Phase::kNext:
                next();
                break;
            case Phase::kRead:
                if (!complete) break;
                slot = &program[decoded++];
                phase = slot->layered       ? Phase::kRecord
                        : slot->by_position ? Phase::kLengthen
                                            : Phase::kDecode;
                if (slot->layered) words_left = p.slot_words;
                break;
            case Phase::kRecord:
                words_left -= record_taken;
                if (complete) phase = Phase::kLengthen;
                break;
            case Phase::kLengthen:
                phase = Phase::kSettle;
                break;
            case Phase::kSettle:
                phase = Phase::kDecode;
                break;
            case Phase::kDecode:
                decode();
                break;
            case Phase::kEncode:
                if (taken) {
                    tokens = slot->tokens;
                    bank_register = bank;
                }
                [[fallthrough]];
            case Phase::kMatmul:
            case Phase::kStore:
            case Phase::kVector:
                if (taken) phase = Phase::kNext;
                break;
            case Phase::kProducts:
                bits_left = slot->a_by_token ? kTokenBits : slot->b_by_position ? kPositionBits : 0;
                phase = Phase::kPlace;
                break;
            case Phase::kPlace:
                if (bits_left)
                    --bits_left;
                else
                    phase = Phase::kVector;
                break;
            case Phase::kToken:
                record_address = (slot->records + 4 * uint64_t(position)) / p.axi_bytes;
                if (working) break;
                forget();
                token_wanted = position != host.end_position;
                phase = token_wanted ? Phase::kNumber : Phase::kFinish;
                break;
            case Phase::kNumber:
                if (record_valid) phase = Phase::kCompare;
                break;
            case Phase::kCompare:
                phase = Phase::kCheck;
                break;
            case Phase::kCheck:
                phase = slot->ends ? Phase::kFinish : Phase::kNext;
                break;
            case Phase::kNextPosition:
                ++position;
                jump(next_slot - 1 - slot->slots);
                break;
            case Phase::kPrefill:
                phase = Phase::kNext;
                if (position + 1 < host.prompt_end) jump(next_slot + slot->slots);
                break;
            case Phase::kLayers:
                looping = true;
                loop_begin = next_slot;
                loop_end = next_slot + slot->slots;
                layers_left = slot->layers;
                records_wanted = slot->record_count;
                record_address = slot->records / p.axi_bytes;
                phase = Phase::kNext;
                break;
            case Phase::kJump:
                if (!was_reading && unread) {
                    reading = true;
                    address = base + uint64_t(next_slot) * p.slot_words;
                    slots_wanted = host.slots - next_slot;
                    phase = Phase::kNext;
                } else {
                    reading = request_valid && !request_ready;
                }
                break;
            case Phase::kFinish:
                reading = request_valid && !request_ready;
                if (!(records_valid && !records_ready)) records_wanted = 0;
                if (done) phase = Phase::kIdle;
                break;
        }
        working = works;
    }

  private:
    void next() {
        if (!looping || next_slot != loop_end) {
            words_left = p.slot_words;
            ++next_slot;
            phase = Phase::kRead;
        } else if (--layers_left) {
            jump(loop_begin);
        } else {
            looping = false;
        }
    }

    void decode() {
        switch (slot->opcode) {
            case Opcode::kEnd: phase = Phase::kFinish; break;
            case Opcode::kEncode: phase = Phase::kEncode; break;
            case Opcode::kMatmul: phase = Phase::kMatmul; break;
            case Opcode::kVector: phase = Phase::kProducts; break;
            case Opcode::kStore: phase = Phase::kStore; break;
            case Opcode::kToken: phase = Phase::kToken; break;
            case Opcode::kNext: phase = fenced ? Phase::kDecode : Phase::kNextPosition; break;
            case Opcode::kPrefill: phase = fenced ? Phase::kDecode : Phase::kPrefill; break;
            case Opcode::kLayers: phase = fenced ? Phase::kDecode : Phase::kLayers; break;
        }
    }

    void jump(uint32_t target) {
        next_slot = target;
        phase = Phase::kJump;
    }

    void forget() {  // what is not under way any more: all but this TOKEN
        for (; &program.front() != slot; --decoded) program.pop_front();
    }
};
