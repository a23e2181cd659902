// The functions that sim/cycle.py calls.

#include "abi.h"
#include "top.h"

namespace {

// The bytes do not matter: a mapping of zeros that nothing else sees, given back at the end.
struct Zeros : Memory {
    explicit Zeros(const Params& p, const Timing& timing) {
        mapped = open("/dev/zero", timing.memory_bytes, p.axi_bytes, timing.latency, timing.stalls,
                      timing.seed);
        writable.push_back({0, timing.memory_bytes});
        for (uint64_t i = 0; i < timing.idle_cycles; ++i) cycle(true, true);
    }
    ~Zeros() { open("", 0, 0, 0, 0, 0); }
    Zeros(const Zeros&) = delete;
    bool mapped;
};

struct Run {
    Zeros memory;
    Top top;
    Run(const Params& p, const Timing& timing, const Instruction* program, uint32_t slots,
        uint64_t address)
        : memory(p, timing), top(p, program, slots, address) {}
};

}  // namespace

extern "C" {

Run* cycle_model_open(const Params* params, const Timing* timing, const Instruction* program,
                      uint32_t slots, uint64_t address) {
    Run* run = new Run(*params, *timing, program, slots, address);
    if (run->memory.mapped) return run;
    delete run;
    return nullptr;
}

// Runs for at most so many cycles; returns whether the program has not ended yet.
int cycle_model_run(Run* run, uint64_t cycles) {
    while (cycles-- && run->top.busy() && !*run->memory.fault) run->top.cycle(run->memory);
    return run->top.busy() && !*run->memory.fault;
}

void cycle_model_counters(const Run* run, Counters* counters) { *counters = run->top.counters; }

const char* cycle_model_fault(const Run* run) { return run->memory.fault; }

void cycle_model_close(Run* run) { delete run; }
}
