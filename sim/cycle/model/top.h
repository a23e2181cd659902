// hw/top.py: the accelerator, with the memory of the RTL's simulation on its bus
#pragma once

#include "../../rtl/bench/axi_memory.h"
#include "abi.h"
#include "cache.h"
#include "controller.h"
#include "encoder.h"
#include "guard.h"
#include "matmul.h"
#include "read.h"
#include "rows.h"
#include "vector.h"
#include "write.h"

struct Top {
    const Params p;
    Controller controller;
    Encoder encoder{p};
    MatrixPath matrix{p};
    ReadPort read{p};
    VectorUnit vector{p};
    CacheWriter cache{p};
    RowMux rows{p};
    WritePort write{p};
    Guard guard;
    Counters counters{};

    Top(const Params& params, const Host& host) : p(params), controller(p, host) {}
    Top(const Top&) = delete;

    bool busy() const { return controller.busy(); }

    // Bus: a memory of the RTL's simulation, see axi_memory.h and litedram.h.
    template <typename Bus>
    void cycle(Bus& memory) {
        drive(memory);  // from registers only
        memory.settle();
        // What the memory says in this cycle.
        const bool ar_ready = memory.ar.ready, r_valid = memory.r.valid;
        const bool aw_ready = memory.aw.ready, w_ready = memory.w.ready, b_valid = memory.b.valid;
        const auto r_client = static_cast<ReadClient>(memory.r.id);
        const auto client = [&](ReadClient name) -> ReadPort::Client& { return read.clients[name]; };

        // Combinational.
        read.grant(ar_ready);
        write.comb(w_ready);
        const bool row_ready = write.i_row_ready(), word_ready = write.i_ready;
        const bool address_ready = guard.i_write_ready(aw_ready);
        const bool rows_valid[] = {matrix.o_row_valid, vector.o_row_valid,
                                   cache.o_row_valid()};
        const bool words_valid[] = {matrix.results.o_valid(), vector.results.o_valid(),
                                    cache.o_valid()};
        rows.comb(rows_valid, words_valid, row_ready, word_ready);
        encoder.comb();
        vector.comb(client(kA).queue.o_valid(), client(kB).queue.o_valid());
        matrix.comb(read, encoder);
        const bool drains = matrix.draining() || write.busy();
        const bool works =
            encoder.busy() || matrix.bank_busy() || vector.busy() || cache.busy() || drains;
        controller.comb(matrix.under_way);
        client(kProgram).comb(controller.request_valid, controller.request);
        client(kRecords).comb(controller.records_valid, controller.records);
        client(kVectors).comb(encoder.o_request_valid, encoder.o_request);
        client(kA).comb(vector.o_a_valid, vector.o_a);
        client(kB).comb(vector.o_b_valid, vector.o_b);
        const bool encodes =
            controller.o_encode_valid && encoder.i_ready() && matrix.i_encode_ready();
        const bool stores = controller.o_store_valid && encoder.i_ready() && cache.i_ready();
        const bool matmuls = controller.o_matmul_valid && matrix.i_ready();
        const bool vectors = controller.o_vector_valid && vector.i_ready();
        const Instruction* const slot = controller.slot;
        const bool r_ready = client(r_client).queue.i_ready();
        const bool batch_ready = matrix.events.i_batch_ready, head_ready = cache.i_head_ready();
        const Row row = !rows.o_row_valid           ? Row{}
                        : rows.chosen == kResults    ? matrix.o_row
                        : rows.chosen == kVectorRows ? vector.o_row
                                                     : cache.o_row();
        const std::array<bool, kReadClients> words_ready = {
            controller.word_ready, controller.record_ready, encoder.words_ready, vector.take,
            vector.takes_b(), matrix.channel_words.i_words_ready, matrix.beats.i_ready};

        count(vector.busy() || cache.busy(), drains, ar_ready, r_valid && r_ready, r_client);
        memory.cycle(r_ready, true);

        // The clock's edge.
        if (r_valid && r_ready) client(r_client).queue.put({});
        guard.clock(write.o_address_valid(), write.o_address(), aw_ready);
        write.clock(rows.o_row_valid, row, rows.o_valid, address_ready, b_valid);
        matrix.clock(matmuls ? slot : nullptr, encodes, controller.tokens, controller.bank, read,
                     encoder, rows.row_ready[kResults], rows.word_ready[kResults]);
        vector.clock(vectors ? slot : nullptr, client(kA).i_ready(), client(kB).i_ready(),
                     rows.row_ready[kVectorRows], rows.word_ready[kVectorRows]);
        cache.clock(stores ? slot : nullptr, encoder.o_head_valid,
                    encoder.o_counts_valid && encoder.storing, encoder.o_scale_valid,
                    rows.row_ready[kCache], rows.word_ready[kCache]);
        encoder.clock(encodes || stores ? slot : nullptr, controller.bank,
                      client(kVectors).i_ready(), client(kVectors).queue.o_valid(), batch_ready,
                      head_ready);
        controller.clock(client(kProgram).i_ready(), client(kProgram).queue.o_valid(),
                         client(kRecords).i_ready(), client(kRecords).queue.o_valid(),
                         encodes || stores || matmuls || vectors, works);
        rows.clock(row, row_ready, word_ready);
        read.clock(ar_ready, words_ready);
    }

  private:
    // Each busy cycle is shared out to the first cause that holds.
    void count(bool vectors, bool drains, bool ar_ready, bool word_arrives, ReadClient client) {
        ++counters.cycles;
        ++(matrix.sequencer.o_valid   ? counters.array_cycles
           : matrix.sequencer.stalled ? counters.stall_cycles
           : encoder.busy()           ? counters.encode_cycles
           : vectors                  ? counters.vector_cycles
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
        request(memory.aw, guard.o_write_valid, 0, guard.o_write);
        memory.w.valid = write.o_data_valid;
        memory.w.payload.strobe = write.o_data_strobe;
        memory.w.payload.last = write.o_data_last;
    }
};
