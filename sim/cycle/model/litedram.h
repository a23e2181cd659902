// LiteDRAM's controller as Verilator compiled it, in the place of the ideal memory
#pragma once

#include "../../rtl/bench/axi_memory.h"
#include "Vlitedram_controller.h"

// The bus's checks are the memory's; what answers is the controller.
class LiteDram : public Memory {
  public:
    LiteDram() {
        v_.rst = 1;
        for (int i = 0; i < 4; ++i) edge();
        v_.rst = 0;
    }

    // What the controller says to what is offered in this cycle, perhaps in the same.
    void settle() {
        request(ar, v_.m_axi_arvalid, v_.m_axi_arid, v_.m_axi_araddr, v_.m_axi_arlen,
                v_.m_axi_arsize, v_.m_axi_arburst);
        request(aw, v_.m_axi_awvalid, v_.m_axi_awid, v_.m_axi_awaddr, v_.m_axi_awlen,
                v_.m_axi_awsize, v_.m_axi_awburst);
        v_.m_axi_wvalid = w.valid;
        v_.m_axi_wlast = w.payload.last;
        v_.m_axi_rready = v_.m_axi_bready = 1;
        v_.clk = 0;
        v_.eval();
        ar.ready = v_.m_axi_arready;
        aw.ready = v_.m_axi_awready;
        w.ready = v_.m_axi_wready;
        r.valid = v_.m_axi_rvalid;
        r.id = v_.m_axi_rid;
        r.last = v_.m_axi_rlast;
        b.valid = v_.m_axi_bvalid;
        b.id = v_.m_axi_bid;
    }

    void cycle(bool r_ready, bool b_ready) {
        v_.m_axi_rready = r_ready;
        v_.m_axi_bready = b_ready;
        observe(r_ready, b_ready);
        if (!r_ready || !b_ready) v_.eval();
        v_.clk = 1;
        v_.eval();
    }

  private:
    VerilatedContext context_;
    Vlitedram_controller v_{&context_};

    void edge() {
        v_.clk = 0;
        v_.eval();
        v_.clk = 1;
        v_.eval();
    }

    template <typename Bit, typename Id, typename Address, typename Length, typename Size,
              typename Kind>
    static void request(const Channel<Request>& channel, Bit& valid, Id& id, Address& address,
                        Length& length, Size& size, Kind& kind) {
        valid = channel.valid;
        id = channel.payload.id;
        address = channel.payload.address;
        length = channel.payload.beats - 1;
        size = channel.payload.size;
        kind = channel.payload.burst;
    }
};
