// hw/vector/unit.py, with its pipelines and divider, of which only the latencies matter
#pragma once

#include "abi.h"
#include "memory_port.h"
#include "rows.h"
#include "stream.h"

struct VectorUnit {
    enum class Phase {
        kIdle, kRow, kOffer, kPass, kFlush, kIndex, kNumber,
        kMean, kNormalize, kRoot, kFactor, kLevel, kReciprocal
    };
    static constexpr uint32_t kRootDigits = 32, kShortDivision = 11;
    const Params& p;
    // registers
    Phase phase = Phase::kIdle;
    const Instruction* job = nullptr;
    uint32_t row = 0, group = 0, pass = 0;
    uint64_t destination = 0;
    uint32_t gathering = 0, leaving = 0;  // stages that hold words, as bits
    bool o_row_valid = false;
    Row o_row;
    Buffer<Nothing> results;
    uint32_t left = 0;    // cycles of the phase
    // of the requests
    bool active = false, asked_a = false, asked_b = false;
    uint32_t asked_row = 0, asked_pass = 0;
    uint64_t a = 0, b = 0;
    // combinational
    bool move = false, take = false, o_a_valid = false, o_b_valid = false;
    Segment o_a, o_b;

    explicit VectorUnit(const Params& p) : p(p) {}

    bool idle() const { return phase == Phase::kIdle; }
    bool busy() const { return !idle() || results.o_valid(); }
    bool i_ready() const { return idle(); }
    bool takes_b() const { return take && needs_b(); }

    void comb(bool a_valid, bool b_valid) {
        move = results.i_ready();
        take = phase == Phase::kPass && a_valid && (b_valid || !needs_b()) && move;
        o_a_valid = active && !asked_a;
        o_b_valid = active && !asked_b && asks_b();
        if (!active) return;
        o_a = {a / p.axi_bytes, words()};
        o_b = {b / p.axi_bytes, words()};
    }

    void clock(const Instruction* accepted, bool a_ready, bool b_ready, bool row_ready,
               bool o_ready) {
        if (active) request(a_ready, b_ready);
        const bool gathered = !gathering, left_all = !leaving;
        const bool leaves = phase == Phase::kNumber || (leaving && leaving >> (latency() - 1));
        results.clock(move && leaves, {}, o_ready);
        if (move && !idle()) {
            const bool gathers = !last_pass() || argmax();
            gathering = (gathering << 1 | (take && gathers)) & ((1u << gather_stages()) - 1);
            leaving = (leaving << 1 | (take && !gathers)) & ((1u << latency()) - 1);
        }
        const bool row_free = !o_row_valid;
        if (row_ready) o_row_valid = false;
        switch (phase) {
            case Phase::kIdle:
                if (!accepted) break;
                job = accepted;
                row = asked_row = asked_pass = 0;
                destination = job->destination;
                a = job->a;
                b = job->b;
                active = true;
                phase = Phase::kRow;
                break;
            case Phase::kRow:
                pass = group = 0;
                if (job->passes > 1 || argmax()) phase = Phase::kPass;
                else if (row_free) offer(Phase::kPass, row_of_results());
                break;
            case Phase::kOffer:
                if (row_free) offer(Phase::kPass, row_of_results());
                break;
            case Phase::kPass:
                if (!take || ++group != words()) break;
                phase = Phase::kFlush;
                if (last_pass() && !argmax() && row + 1 != job->rows) next_row();
                break;
            case Phase::kFlush:
                if (gathered && (left_all || !last_pass())) flushed();
                break;
            case Phase::kIndex:
                if (row_free) offer(Phase::kNumber, {destination, 4});
                break;
            case Phase::kNumber:
                if (move) next_row();
                break;
            case Phase::kMean:
                wait(Phase::kNormalize, job->row_shifts[row] + 1);
                break;
            case Phase::kNormalize:
                wait(Phase::kRoot, kRootDigits);
                break;
            case Phase::kRoot:
                wait(Phase::kFactor, kShortDivision);
                break;
            case Phase::kLevel:
                wait(Phase::kReciprocal, kShortDivision);
                break;
            case Phase::kFactor:
            case Phase::kReciprocal:
                wait(Phase::kOffer, 0);
                break;
        }
    }

  private:
    bool argmax() const { return job->operation == VectorOp::kArgmax; }
    uint32_t words() const { return (job->elements + p.encode_lanes - 1) / p.encode_lanes; }
    bool last_pass() const { return pass == job->passes - 1; }
    bool needs_b() const { return job->binary && last_pass(); }
    bool asks_b() const { return job->binary && asked_pass == job->passes - 1; }

    // Stages of words whose sum, or whose largest element, is not complete.
    uint32_t gather_stages() const {
        if (job->operation == VectorOp::kNorm) return 4;
        return job->operation == VectorOp::kSoftmax && pass == 1 ? 10 : compare_stages();
    }
    uint32_t compare_stages() const { return 1 + __builtin_ctz(p.encode_lanes); }

    uint32_t latency() const {
        switch (job->operation) {
            case VectorOp::kRotate: return 6;
            case VectorOp::kSwiglu: return 14;
            case VectorOp::kNorm: return 11;
            case VectorOp::kSoftmax: return 18;
            default: return 1;
        }
    }

    Row row_of_results() const {
        return {destination / p.axi_bytes * p.axi_bytes, 4 * job->elements};
    }

    void offer(Phase next, const Row& row) {
        o_row_valid = true;
        o_row = row;
        phase = next;
    }

    void request(bool a_ready, bool b_ready) {
        const bool a_done = asked_a || a_ready, b_done = asked_b || b_ready || !asks_b();
        asked_a = a_done;
        asked_b = b_done;
        if (!a_done || !b_done) return;
        asked_a = asked_b = false;
        if (++asked_pass != job->passes) return;
        asked_pass = 0;
        a += job->stride;
        b += job->b_same ? 0 : job->stride;
        active = ++asked_row != job->rows;
    }

    void flushed() {
        const uint32_t ended = pass;
        group = 0;
        if (argmax()) {
            phase = Phase::kIndex;
        } else if (last_pass()) {
            phase = Phase::kIdle;
        } else if (job->operation == VectorOp::kNorm) {
            start(Phase::kMean, p.divide_latency);
        } else if (ended == 1) {
            start(Phase::kLevel, job->row_shifts[row] + 1);
        } else {
            phase = Phase::kPass;
        }
        ++pass;
    }

    void next_row() {
        destination += job->stride;
        phase = ++row == job->rows ? Phase::kIdle : Phase::kRow;
    }

    void start(Phase next, uint32_t cycles) {
        phase = next;
        left = cycles;
    }

    void wait(Phase next, uint32_t cycles) {
        if (!--left) start(next, cycles);
    }
};
