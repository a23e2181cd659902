// A program on the accelerator without Python: drives the clock and the few register accesses.
//
// loop IMAGE BYTES WORD_BYTES LATENCY PROGRAM LIMIT REGISTER... WRITABLE_FIRST:END...
// where REGISTER are the offsets of PROGRAM_LOW, PROGRAM_HIGH, IRQ_ENABLE, CONTROL, ERROR,
// CYCLES_LOW and CYCLES_HIGH. Prints cycles and seconds as JSON.
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vtop.h"
#include "verilated.h"

extern "C" {
int dram_open(const char* path, uint64_t bytes, uint64_t word_bytes, uint64_t latency,
              double stalls, uint64_t seed);
void dram_permit_writes(uint64_t first, uint64_t end);
const char* dram_fault();
}

constexpr int kAnswerCycles = 1000, kResetCycles = 4, kFirst = 2, kNumbers = 12;

static Vtop top;

[[noreturn]] static void fail(const char* sentence) {
    fprintf(stderr, "%s\n", sentence);
    std::exit(1);
}

static void fall() {
    top.clk = 0;
    top.eval();
}

static void rise() {
    top.clk = 1;
    top.eval();
}

// What a rising edge samples stands after `fall`; what follows from it is set after `rise`.
template <typename Done>
static void cycle_until(Done done) {
    for (int i = 0; i < kAnswerCycles; ++i) {
        fall();
        const bool last = done();
        rise();
        if (last) return;
    }
    fail("the register port did not answer");
}

static void write_register(uint32_t offset, uint32_t value) {
    top.s_axil_awaddr = offset;
    top.s_axil_wdata = value;
    top.s_axil_awvalid = top.s_axil_wvalid = 1;
    while (top.s_axil_awvalid || top.s_axil_wvalid) {
        bool address = false, data = false;
        cycle_until([&] {
            address = top.s_axil_awvalid && top.s_axil_awready;
            data = top.s_axil_wvalid && top.s_axil_wready;
            return address || data;
        });
        top.s_axil_awvalid = top.s_axil_awvalid && !address;
        top.s_axil_wvalid = top.s_axil_wvalid && !data;
    }
    top.s_axil_bready = 1;
    cycle_until([] { return top.s_axil_bvalid; });
    top.s_axil_bready = 0;
}

static uint32_t read_register(uint32_t offset) {
    top.s_axil_araddr = offset;
    top.s_axil_arvalid = 1;
    cycle_until([] { return top.s_axil_arready; });
    top.s_axil_arvalid = 0;
    top.s_axil_rready = 1;
    uint32_t value = 0;
    cycle_until([&] {
        value = top.s_axil_rdata;
        return top.s_axil_rvalid;
    });
    top.s_axil_rready = 0;
    return value;
}

int main(int argc, char** argv) {
    if (argc < kFirst + kNumbers) fail("the arguments are told at the head of verilator_loop.cpp");
    uint64_t numbers[kNumbers];
    for (int i = 0; i < kNumbers; ++i) numbers[i] = strtoull(argv[kFirst + i], nullptr, 10);
    const auto [bytes, word_bytes, latency, program, limit, program_low, program_high, irq_enable,
                control, error, cycles_low, cycles_high] = numbers;
    if (!dram_open(argv[1], bytes, word_bytes, latency, 0.0, 0)) fail("the image cannot be mapped");
    for (int i = kFirst + kNumbers; i < argc; ++i) {
        char* colon;
        const uint64_t first = strtoull(argv[i], &colon, 10);
        dram_permit_writes(first, strtoull(colon + 1, nullptr, 10));
    }

    top.s_axil_wstrb = 0xF;
    top.rst = 1;
    for (int i = 0; i < kResetCycles; ++i) fall(), rise();
    top.rst = 0;
    write_register(program_low, program);
    write_register(program_high, program >> 32);
    write_register(irq_enable, 1);

    const auto begin = std::chrono::steady_clock::now();
    write_register(control, 1);
    for (uint64_t waited = 0; !top.irq; ++waited) {
        if (top.fault) fail(dram_fault());
        if (waited == limit) fail("no interrupt within the limit");
        fall();
        rise();
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;

    if (read_register(error)) fail("the program ended with an error");
    const uint64_t cycles = read_register(cycles_low);  // latches the high half
    printf("{\"cycles\": %" PRIu64 ", \"seconds\": %.9f}\n",
           cycles | static_cast<uint64_t>(read_register(cycles_high)) << 32, seconds.count());
    top.final();
    return 0;
}
