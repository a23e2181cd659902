// The memory behind dram.sv. sim/rtl/bench/memory.py calls the functions at the end; dram.sv calls
// dram_cycle once a clock cycle.

#include "axi_memory.h"

#include "Vtop__Dpi.h"

constexpr uint64_t kSpikesBytes = 32;  // of the payload in bench.sv

Memory memory;

void dram_cycle(svBit rst, svBit arvalid, int arid, long long araddr, int arlen, int arsize,
                int arburst, svBit rready, svBit awvalid, int awid, long long awaddr, int awlen,
                int awsize, int awburst, svBit wvalid, const svBitVecVal* wdata,
                const svBitVecVal* wstrb, svBit wlast, svBit bready, svBit* arready, svBit* rvalid,
                int* rid, svBitVecVal* rdata, int* rresp, svBit* rlast, svBit* awready,
                svBit* wready, svBit* bvalid, int* bid, int* bresp, svBit* faulty) {
    memory.ar.valid = arvalid;
    memory.ar.payload = {arid, static_cast<uint64_t>(araddr), arlen + 1, arsize, arburst};
    memory.aw.valid = awvalid;
    memory.aw.payload = {awid, static_cast<uint64_t>(awaddr), awlen + 1, awsize, awburst};
    memory.w.valid = wvalid;
    if (wvalid) {
        std::memcpy(memory.w.payload.data, wdata, sizeof memory.w.payload.data);
        memory.w.payload.strobe = wstrb[0] | static_cast<uint64_t>(wstrb[1]) << 32;
        memory.w.payload.last = wlast;
    }
    if (rst)
        memory.reset();
    else
        memory.cycle(rready, bready);
    *arready = memory.ar.ready;
    *awready = memory.aw.ready;
    *wready = memory.w.ready;
    *rvalid = memory.r.valid;
    *rid = memory.r.id;
    *rresp = memory.r.response;
    *rlast = memory.r.last;
    std::memcpy(rdata, memory.r.data, sizeof memory.r.data);
    *bvalid = memory.b.valid;
    *bid = memory.b.id;
    *bresp = memory.b.response;
    *faulty = *memory.fault != 0;
}

extern "C" {

int dram_open(const char* path, uint64_t bytes, uint64_t word_bytes, uint64_t latency,
              double stalls, uint64_t seed) {
    return memory.open(path, bytes, word_bytes, latency, stalls, seed);
}

void dram_want_data_first() { memory.data_first = true; }

void dram_permit_writes(uint64_t first, uint64_t end) { memory.writable.push_back({first, end}); }

void dram_fail(int writes, uint64_t first, uint64_t end) {
    memory.failing[writes].push_back({first, end});
}

int dram_trace(const char* path, uint64_t first, uint64_t end, int spikes) {
    return memory.trace.open(path, first, end, spikes);
}

// Called by bench.sv: a batch begins, or counts enter the spike buffer.
void dram_spikes(svBit batch, const svBitVecVal* payload) {
    memory.trace.spikes(batch, payload, kSpikesBytes);
}

void dram_counts(Counts* counts) { *counts = memory.counts; }

const char* dram_fault() { return memory.fault; }
}
