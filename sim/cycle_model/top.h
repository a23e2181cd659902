// hw/top.py: the accelerator, with the memory of the RTL's simulation on its bus
#pragma once

#include "../bench/axi_memory.h"
#include "abi.h"
#include "controller.h"
#include "encoder.h"
#include "matmul.h"
#include "read.h"
#include "write.h"

struct Top {
    const Params p;
    Controller controller;
    Encoder encoder{p};
    MatrixPath matrix{p};
    ReadPort read{p};
    WritePort write{p};
    Counters counters{};

    Top(const Params& params, const Instruction* program, uint32_t slots, uint64_t address)
        : p(params), controller(p, program, slots, address) {}
    Top(const Top&) = delete;

    bool busy() const { return controller.busy(); }

    void cycle(Memory& memory) {
        // What the memory's registers say in this cycle.
        const bool ar_ready = memory.ar.ready, r_valid = memory.r.valid;
        const bool aw_ready = memory.aw.ready, w_ready = memory.w.ready, b_valid = memory.b.valid;
        const auto r_client = static_cast<ReadClient>(memory.r.id);
        const auto client = [&](ReadClient name) -> ReadPort::Client& { return read.clients[name]; };

        // Combinational.
        read.grant(ar_ready);
        write.comb(w_ready);
        encoder.comb();
        matrix.comb(read, write, encoder);
        const bool drains = matrix.draining() || write.busy();
        controller.comb(encoder.busy() || matrix.bank_busy() || drains, matrix.under_way);
        client(kProgram).comb(controller.request_valid, controller.request);
        client(kVectors).comb(encoder.o_request_valid, encoder.o_request);
        const bool encode_ready = encoder.i_ready() && matrix.i_encode_ready();
        const bool encodes = controller.o_encode_valid && encode_ready;
        const bool matmul_ready = matrix.i_ready();
        const bool matmuls = controller.o_matmul_valid && matmul_ready;
        const bool r_ready = client(r_client).queue.i_ready();
        const bool row_ready = write.i_row_ready(), batch_ready = matrix.events.i_batch_ready;
        const std::array<bool, kReadClients> words_ready = {
            controller.word_ready, encoder.words_ready, matrix.channel_words.i_words_ready,
            matrix.beats.i_ready};

        count(drains, ar_ready, r_valid && r_ready, r_client);
        drive(memory);
        memory.cycle(r_ready, true);

        // The clock's edge.
        if (r_valid && r_ready) client(r_client).queue.put({});
        write.clock(matrix.drain.o_row_valid, matrix.drain.row_address, matrix.drain.outputs,
                    matrix.requant.o_valid(), aw_ready, b_valid);
        matrix.clock(matmuls ? controller.slot : nullptr, encodes, controller.tokens,
                     controller.bank, read, encoder, row_ready);
        encoder.clock(encodes ? controller.slot : nullptr, controller.bank,
                      client(kVectors).i_ready(), client(kVectors).queue.o_valid(),
                      batch_ready);
        controller.clock(client(kProgram).i_ready(), client(kProgram).queue.o_valid(),
                         encode_ready, matmul_ready);
        read.clock(ar_ready, words_ready);
    }

  private:
    // Each busy cycle is shared out to the first cause that holds.
    void count(bool drains, bool ar_ready, bool word_arrives, ReadClient client) {
        ++counters.cycles;
        ++(matrix.sequencer.o_valid   ? counters.array_cycles
           : matrix.sequencer.stalled ? counters.stall_cycles
           : encoder.busy()           ? counters.encode_cycles
           : drains                   ? counters.drain_cycles
                                      : counters.idle_cycles);
        counters.read_bursts += read.o_valid && ar_ready;
        counters.dram_bytes_written += write.bytes();
        counters.dram_bytes_read += word_arrives ? p.axi_bytes : 0;
        counters.weight_bytes_read += word_arrives && client == kWeights ? p.axi_bytes : 0;
        matrix.count(counters);
    }

    void drive(Memory& memory) const {
        const auto request = [&](Channel<Request>& channel, bool valid, int id, Segment burst) {
            const int size = __builtin_ctz(p.axi_bytes);
            channel.valid = valid;
            if (valid)
                channel.payload = {id, burst.address * p.axi_bytes, static_cast<int>(burst.words),
                                   size, kIncrementing};
        };
        request(memory.ar, read.o_valid, read.o_client, read.o_burst);
        request(memory.aw, write.o_address_valid(), 0, write.o_address());
        memory.w.valid = write.o_data_valid;
        memory.w.payload.strobe = (uint64_t(1) << write.o_data_bytes) - 1;
        memory.w.payload.last = write.o_data_last;
    }
};
