// The accelerator with its memory; the host (sim/rtl/bench/host.py) drives what is left.
module spikeloom_bench #(
    parameter int DATA_WIDTH = 0,
    parameter int ADDR_WIDTH = 0,
    parameter int AXIL_ADDR_WIDTH = 0,
    parameter int ID_WIDTH = 0
) (
    input  logic                       clk,
    input  logic                       rst,
    input  logic [AXIL_ADDR_WIDTH-1:0] s_axil_awaddr,
    input  logic [2:0]                 s_axil_awprot,
    input  logic                       s_axil_awvalid,
    output logic                       s_axil_awready,
    input  logic [31:0]                s_axil_wdata,
    input  logic [3:0]                 s_axil_wstrb,
    input  logic                       s_axil_wvalid,
    output logic                       s_axil_wready,
    output logic [1:0]                 s_axil_bresp,
    output logic                       s_axil_bvalid,
    input  logic                       s_axil_bready,
    input  logic [AXIL_ADDR_WIDTH-1:0] s_axil_araddr,
    input  logic [2:0]                 s_axil_arprot,
    input  logic                       s_axil_arvalid,
    output logic                       s_axil_arready,
    output logic [31:0]                s_axil_rdata,
    output logic [1:0]                 s_axil_rresp,
    output logic                       s_axil_rvalid,
    input  logic                       s_axil_rready,
    output logic                       irq,
    output logic                       fault
);
    logic [ID_WIDTH-1:0]     m_axi_arid, m_axi_rid, m_axi_awid, m_axi_bid;
    logic [ADDR_WIDTH-1:0]   m_axi_araddr, m_axi_awaddr;
    logic [7:0]              m_axi_arlen, m_axi_awlen;
    logic [2:0]              m_axi_arsize, m_axi_awsize, m_axi_arprot, m_axi_awprot;
    logic [1:0]              m_axi_arburst, m_axi_awburst, m_axi_rresp, m_axi_bresp;
    logic [3:0]              m_axi_arcache, m_axi_awcache, m_axi_arqos, m_axi_awqos;
    logic                    m_axi_arlock, m_axi_awlock;
    logic                    m_axi_arvalid, m_axi_arready, m_axi_awvalid, m_axi_awready;
    logic                    m_axi_rvalid, m_axi_rready, m_axi_rlast;
    logic                    m_axi_wvalid, m_axi_wready, m_axi_wlast;
    logic                    m_axi_bvalid, m_axi_bready;
    logic [DATA_WIDTH-1:0]   m_axi_rdata, m_axi_wdata;
    logic [DATA_WIDTH/8-1:0] m_axi_wstrb;

    spikeloom_top top (.*);
    dram #(.DATA_WIDTH(DATA_WIDTH), .ADDR_WIDTH(ADDR_WIDTH), .ID_WIDTH(ID_WIDTH)) memory (.*);

    // Spike counts never reach the bus; for sim.diverge they are recorded where they are kept.
    typedef bit [255:0] spikes_t;
    import "DPI-C" function void dram_spikes(input bit batch, input spikes_t payload);

    always_ff @(posedge clk) begin
        if (top.matrix.spikes.i_batch__valid)
            dram_spikes(1, spikes_t'(top.matrix.spikes.i_batch__payload));
        if (top.matrix.spikes.i__valid)
            dram_spikes(0, spikes_t'(top.matrix.spikes.i__payload));
    end
endmodule
