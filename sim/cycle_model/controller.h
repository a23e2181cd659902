// hw/controller.py, for programs without errors
#pragma once

#include "abi.h"
#include "memory_port.h"

struct Controller {
    enum class Phase { kIdle, kHeader, kNext, kRead, kDecode, kEncode, kMatmul, kFinish };
    const Params& p;
    const Instruction* slot;  // the one that is read or executed
    uint32_t slots;
    // registers, as the start leaves them
    Phase phase = Phase::kHeader;
    bool reading = true, first_request = true, known = false;
    uint64_t address;
    uint32_t slots_wanted = 0, words_under_way = 0, words_left;
    uint32_t tokens = 0;
    bool bank_register = false;
    // combinational
    bool bank = false, o_encode_valid = false, o_matmul_valid = false;
    bool word_ready = false, request_valid = false, done = false;
    Segment request;

    Controller(const Params& p, const Instruction* program, uint32_t slots, uint64_t address)
        : p(p), slot(program), slots(slots), address(address / p.axi_bytes),
          words_left(p.header_words) {}

    bool busy() const { return phase != Phase::kIdle; }

    void comb(bool working, const uint32_t* under_way) {
        const uint32_t words = p.slot_words + (first_request ? p.header_words : 0);
        request = {address, words};
        request_valid = reading && (first_request || (known && slots_wanted)) &&
                        words_under_way <= 3 * p.header_words - p.slot_words;
        word_ready = phase == Phase::kFinish ||
                     ((phase == Phase::kHeader || phase == Phase::kRead) && words_left);
        bank = bank_register ^ (phase == Phase::kEncode);
        o_encode_valid =
            phase == Phase::kEncode && !(slot->fence && working) && !under_way[bank];
        o_matmul_valid = phase == Phase::kMatmul;
        done = phase == Phase::kFinish && !reading && !working && !words_under_way;
    }

    void clock(bool request_ready, bool word_valid, bool encode_ready, bool matmul_ready) {
        const bool requested = request_valid && request_ready;
        const bool word_taken = word_valid && word_ready;
        words_under_way += requested ? request.words : 0;
        words_under_way -= word_taken;
        words_left -= word_taken;
        if (requested) {
            address += request.words;
            slots_wanted -= !first_request;
            first_request = false;
        }
        switch (phase) {
            case Phase::kIdle:
                break;
            case Phase::kHeader:
                if (word_taken || words_left) break;
                slots_wanted = slots - 1;
                known = true;
                phase = Phase::kNext;
                break;
            case Phase::kNext:
                words_left = p.slot_words;
                phase = Phase::kRead;
                break;
            case Phase::kRead:
                if (!word_taken && !words_left) phase = Phase::kDecode;
                break;
            case Phase::kDecode:
                phase = slot->opcode == Opcode::kEncode   ? Phase::kEncode
                        : slot->opcode == Opcode::kMatmul ? Phase::kMatmul
                                                          : Phase::kFinish;
                break;
            case Phase::kEncode:
                if (!o_encode_valid || !encode_ready) break;
                tokens = slot->tokens;
                bank_register = bank;
                ++slot;
                phase = Phase::kNext;
                break;
            case Phase::kMatmul:
                if (!matmul_ready) break;
                ++slot;
                phase = Phase::kNext;
                break;
            case Phase::kFinish:
                reading = request_valid && !request_ready;
                if (done) phase = Phase::kIdle;
                break;
        }
    }
};
