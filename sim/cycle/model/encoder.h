// hw/spike/encoder.py, with hw/spike/threshold.py and hw/spike/neuron.py, of which only the latencies matter
#pragma once

#include "abi.h"
#include "memory_port.h"

struct Encoder {
    enum class Phase { kIdle, kExponents, kLoad, kPotential, kThreshold, kFire, kSettle };
    const Params& p;
    // registers
    Phase phase = Phase::kIdle;
    const Instruction* site = nullptr;
    bool bank = false, storing = false, wants_exponents = false;
    uint32_t exponent_word = 0;
    uint32_t token = 0, group = 0, requested = 0;
    uint64_t address = 0;
    uint32_t threshold_left = 0;  // cycles until the threshold is there
    uint32_t combining_left = 0;  // cycles until the last word is part of the potential
    uint64_t neurons = 0;         // inputs inside the neurons, and two on the way there, as bits
    uint32_t written_token = 0, written_group = 0;
    uint32_t shifts_left = 0, scaled_token = 0;
    bool normalizing = false;
    uint32_t scales_ready = 0;
    // combinational
    bool o_request_valid = false, found = false, o_batch_valid = false, o_head_valid = false;
    bool words_ready = false, o_counts_valid = false, o_scale_valid = false;
    uint32_t groups = 0, exponent_words = 0;
    Segment o_request;

    explicit Encoder(const Params& p) : p(p) {}

    bool busy() const { return phase != Phase::kIdle; }
    bool i_ready() const { return !busy(); }

    void comb() {
        groups = busy() ? (site->channels + p.encode_lanes - 1) / p.encode_lanes : 0;
        o_request_valid = busy() && requested != site->tokens;
        exponent_words = busy() ? (2 * site->channels + 8 * p.axi_bytes - 1) / (8 * p.axi_bytes) : 0;
        o_request = {address / p.axi_bytes, groups};
        if (wants_exponents) o_request = {site->exponents / p.axi_bytes, exponent_words};
        found = phase == Phase::kThreshold && !threshold_left && !normalizing;
        o_batch_valid = found && token == 0 && !storing;
        o_head_valid = found && storing;
        o_scale_valid = normalizing && !shifts_left && storing;
        words_ready = phase == Phase::kLoad || phase == Phase::kExponents;
        o_counts_valid = neurons >> (p.neuron_latency + 1) & 1;
    }

    void clock(const Instruction* accepted, bool bank_of_it, bool request_ready, bool word_valid,
               bool o_batch_ready, bool o_head_ready) {
        const bool settled = busy() && written_token == site->tokens && !normalizing;
        if (o_request_valid && request_ready) {
            if (!wants_exponents) {
                ++requested;
                address += site->source_stride;
            }
            wants_exponents = false;
        }
        if (o_counts_valid && ++written_group == groups) {
            written_group = 0;
            ++written_token;
        }
        if (normalizing) normalize();
        neurons = neurons << 1 | (phase == Phase::kFire);
        switch (phase) {
            case Phase::kIdle:
                token = group = written_token = scaled_token = 0;
                if (!accepted) break;
                site = accepted;
                bank = bank_of_it;
                requested = 0;
                address = site->source;
                storing = site->opcode == Opcode::kStore;
                if (!storing) scales_ready &= ~(1u << bank);
                wants_exponents = !storing && site->largest_exponent;
                phase = wants_exponents ? Phase::kExponents : Phase::kLoad;
                break;
            case Phase::kExponents:
                if (!word_valid || ++exponent_word != exponent_words) break;
                exponent_word = 0;
                phase = Phase::kLoad;
                break;
            case Phase::kLoad:
                if (!word_valid || ++group != groups) break;
                combining_left = __builtin_ctz(p.encode_lanes);
                phase = Phase::kPotential;
                break;
            case Phase::kPotential:
                if (combining_left) {
                    --combining_left;
                    break;
                }
                group = 0;
                threshold_left = p.threshold_latency - 1;
                phase = Phase::kThreshold;
                break;
            case Phase::kThreshold:
                if (threshold_left) --threshold_left;
                if (!found || !(storing ? o_head_ready : o_batch_ready || token)) break;
                shifts_left = site->threshold_widths[token] - p.mantissa_width;
                normalizing = true;
                phase = Phase::kFire;
                break;
            case Phase::kFire:
                if (++group != groups) break;
                group = 0;
                phase = ++token == site->tokens ? Phase::kSettle : Phase::kLoad;
                break;
            case Phase::kSettle:
                if (settled) phase = Phase::kIdle;
                break;
        }
    }

  private:
    void normalize() {  // a place a cycle, and a cycle to store it
        if (shifts_left) {
            --shifts_left;
            return;
        }
        normalizing = false;
        if (++scaled_token == site->tokens && !storing) scales_ready |= 1u << bank;
    }
};
