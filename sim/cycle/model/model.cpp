// The functions that sim/cycle/run.py calls.

#include "abi.h"
#include "top.h"

#ifdef LITEDRAM
#include "litedram.h"
using Bus = LiteDram;
#else
using Bus = Memory;
#endif

namespace {

// The bytes do not matter: a mapping of zeros that nothing else sees, given back at the end.
struct Zeros : Bus {
    explicit Zeros(const Params& p, const Timing& timing) {
        mapped = open("/dev/zero", timing.memory_bytes, p.axi_bytes, timing.latency, timing.stalls,
                      timing.seed);
        writable.push_back({0, timing.memory_bytes});
        data_first = timing.data_first;
        for (uint64_t i = 0; i < timing.idle_cycles; ++i) {
            settle();
            cycle(true, true);
        }
    }
    ~Zeros() { open("", 0, 0, 0, 0, 0); }
    Zeros(const Zeros&) = delete;
    bool mapped;
};

struct Run {
    Zeros memory;
    Top top;
    Run(const Params& p, const Timing& timing, const Host& host)
        : memory(p, timing), top(p, host) {}
};

}  // namespace

extern "C" {

Run* cycle_model_open(const Params* params, const Timing* timing, const Host* host) {
    Run* run = new Run(*params, *timing, *host);
    if (run->memory.mapped) return run;
    delete run;
    return nullptr;
}

// Hands over the next instruction to be executed. What it points to must stay: an ENCODE's until
// the next one has been executed, everything else's until the next TOKEN has.
void cycle_model_add(Run* run, const Instruction* next) {
    run->top.controller.program.push_back(*next);
}

enum State { kEnded, kStarved, kPaused };

// Runs to the end, or until an instruction is missing, or so many cycles have passed since the
// start.
int cycle_model_run(Run* run, uint64_t cycles) {
    Top& top = run->top;
    while (top.busy() && !*run->memory.fault) {
        if (top.controller.starved()) return kStarved;
        if (top.counters.cycles == cycles) return kPaused;
        top.cycle(run->memory);
    }
    return kEnded;
}

void cycle_model_counters(const Run* run, Counters* counters) { *counters = run->top.counters; }

const char* cycle_model_fault(const Run* run) { return run->memory.fault; }

void cycle_model_close(Run* run) { delete run; }
}
