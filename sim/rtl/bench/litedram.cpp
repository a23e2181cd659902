// What litedram.sv calls: the bytes behind the controller, and the checks of the bus before it.

#include "axi_memory.h"

#include "Vtop__Dpi.h"

extern Memory memory;  // of dram.cpp, with what the host calls

svBit dram_observe(svBit rst, svBit arvalid, svBit arready, int arid, long long araddr, int arlen,
                   int arsize, int arburst, svBit rvalid, svBit rready, int rid, svBit rlast,
                   svBit awvalid, svBit awready, int awid, long long awaddr, int awlen, int awsize,
                   int awburst, svBit wvalid, svBit wready, const svBitVecVal* wdata,
                   const svBitVecVal* wstrb, svBit wlast, svBit bvalid, svBit bready, int bid) {
    if (rst) {
        memory.reset();
        return 0;
    }
    memory.ar.valid = arvalid, memory.ar.ready = arready;
    memory.ar.payload = {arid, static_cast<uint64_t>(araddr), arlen + 1, arsize, arburst};
    memory.aw.valid = awvalid, memory.aw.ready = awready;
    memory.aw.payload = {awid, static_cast<uint64_t>(awaddr), awlen + 1, awsize, awburst};
    memory.w.valid = wvalid, memory.w.ready = wready;
    if (wvalid) {
        std::memcpy(memory.w.payload.data, wdata, sizeof memory.w.payload.data);
        memory.w.payload.strobe = wstrb[0] | static_cast<uint64_t>(wstrb[1]) << 32;
        memory.w.payload.last = wlast;
    }
    memory.r.valid = rvalid, memory.r.id = rid, memory.r.last = rlast;
    memory.b.valid = bvalid, memory.b.id = bid;
    memory.observe(rready, bready);
    return *memory.fault != 0;
}

void dram_load(long long word, int width, svBitVecVal* data) {
    memory.load(static_cast<uint64_t>(word) * width, width, data);
}

void dram_store(long long word, int width, const svBitVecVal* data, const svBitVecVal* mask) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(data);
    memory.keep(static_cast<uint64_t>(word) * width, width, bytes,
                mask[0] | static_cast<uint64_t>(mask[1]) << 32);
}
