// hw/memory/read.py
#pragma once

#include <array>

#include "abi.h"
#include "bursts.h"
#include "stream.h"

struct ReadPort {
    struct Client {
        uint32_t depth;
        Bursts bursts;
        Queue<Nothing> queue;
        uint32_t reserved = 0;               // register
        bool i_valid = false, grant = false;  // combinational
        Segment i;

        Client(const Params& p, uint32_t depth)
            : depth(depth),
              bursts(std::min(p.max_burst_words, depth), 4096 / p.axi_bytes),
              queue(depth) {}

        bool i_ready() const { return bursts.i_ready; }
        bool idle() const { return !i_valid && !bursts.run_words && !bursts.leaving.o_valid() && !reserved; }

        // The segment that is offered in this cycle.
        void comb(bool valid, const Segment& segment) {
            i_valid = valid;
            i = segment;
            if (!idle()) bursts.comb(valid, segment, reserved < depth / 2);
        }
    };

    std::array<Client, kReadClients> clients;
    // registers
    bool o_valid = false;
    Segment o_burst;
    int o_client = 0;

    explicit ReadPort(const Params& p)
        : clients{Client(p, 4 * p.header_words),    Client(p, 4 * p.slot_words),
                  Client(p, 2 * p.max_burst_words), Client(p, 2 * p.max_burst_words),
                  Client(p, 2 * p.max_burst_words), Client(p, p.max_burst_words),
                  Client(p, p.fetch_depth)} {}

    // Who may hand a burst to AR: depends on registers only.
    void grant(bool o_ready) {
        bool open = !o_valid || o_ready;
        for (Client& client : clients) {
            const Bursts& bursts = client.bursts;
            const bool wants =
                bursts.leaving.o_valid() && client.reserved + bursts.leaving.o().words <= client.depth;
            client.grant = wants && open;
            open = open && !wants;
        }
    }

    void clock(bool o_ready, const std::array<bool, kReadClients>& words_ready) {
        if (o_ready) o_valid = false;
        for (int index = 0; index < kReadClients; ++index) {
            Client& client = clients[index];
            if (client.idle()) continue;
            const bool left = client.queue.o_valid() && words_ready[index];
            if (client.grant) {
                o_valid = true;
                o_burst = client.bursts.leaving.o();
                o_client = index;
                client.reserved += o_burst.words;
            }
            client.reserved -= left;
            client.bursts.clock(client.i_valid, client.i, client.grant);
            client.queue.clock(words_ready[index]);
        }
    }
};
