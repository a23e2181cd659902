// AXI4 memory: the pins of dram.cpp, which holds the bytes, the timing and the protocol's checks.
// Every output is a register; one call a clock cycle samples all pins and gives the next outputs.
// The simulator knows two states, so an unknown (X) cannot be seen here.
module dram #(
    parameter int DATA_WIDTH = 0,
    parameter int ADDR_WIDTH = 0,
    parameter int ID_WIDTH = 0
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic [ID_WIDTH-1:0]     m_axi_arid,
    input  logic [ADDR_WIDTH-1:0]   m_axi_araddr,
    input  logic [7:0]              m_axi_arlen,
    input  logic [2:0]              m_axi_arsize,
    input  logic [1:0]              m_axi_arburst,
    input  logic                    m_axi_arvalid,
    output logic                    m_axi_arready,
    output logic [ID_WIDTH-1:0]     m_axi_rid,
    output logic [DATA_WIDTH-1:0]   m_axi_rdata,
    output logic [1:0]              m_axi_rresp,
    output logic                    m_axi_rlast,
    output logic                    m_axi_rvalid,
    input  logic                    m_axi_rready,
    input  logic [ID_WIDTH-1:0]     m_axi_awid,
    input  logic [ADDR_WIDTH-1:0]   m_axi_awaddr,
    input  logic [7:0]              m_axi_awlen,
    input  logic [2:0]              m_axi_awsize,
    input  logic [1:0]              m_axi_awburst,
    input  logic                    m_axi_awvalid,
    output logic                    m_axi_awready,
    input  logic [DATA_WIDTH-1:0]   m_axi_wdata,
    input  logic [DATA_WIDTH/8-1:0] m_axi_wstrb,
    input  logic                    m_axi_wlast,
    input  logic                    m_axi_wvalid,
    output logic                    m_axi_wready,
    output logic [ID_WIDTH-1:0]     m_axi_bid,
    output logic [1:0]              m_axi_bresp,
    output logic                    m_axi_bvalid,
    input  logic                    m_axi_bready,
    output logic                    fault
);
    // As wide as the widest memory port, so that one C++ function serves every preset.
    typedef bit [511:0] word_t;
    typedef bit [63:0]  strobe_t;

    import "DPI-C" function void dram_cycle(
        input  bit rst,
        input  bit arvalid, input int arid, input longint araddr,
        input  int arlen, input int arsize, input int arburst,
        input  bit rready,
        input  bit awvalid, input int awid, input longint awaddr,
        input  int awlen, input int awsize, input int awburst,
        input  bit wvalid, input word_t wdata, input strobe_t wstrb, input bit wlast,
        input  bit bready,
        output bit arready,
        output bit rvalid, output int rid, output word_t rdata, output int rresp, output bit rlast,
        output bit awready, output bit wready,
        output bit bvalid, output int bid, output int bresp,
        output bit faulty
    );

    bit arready, rvalid, rlast, awready, wready, bvalid, faulty;
    int rid, rresp, bid, bresp;
    word_t rdata;

    always_ff @(posedge clk) begin
        dram_cycle(
            rst,
            m_axi_arvalid, int'(m_axi_arid), longint'(m_axi_araddr),
            int'(m_axi_arlen), int'(m_axi_arsize), int'(m_axi_arburst),
            m_axi_rready,
            m_axi_awvalid, int'(m_axi_awid), longint'(m_axi_awaddr),
            int'(m_axi_awlen), int'(m_axi_awsize), int'(m_axi_awburst),
            m_axi_wvalid, word_t'(m_axi_wdata), strobe_t'(m_axi_wstrb), m_axi_wlast,
            m_axi_bready,
            arready, rvalid, rid, rdata, rresp, rlast, awready, wready, bvalid, bid, bresp, faulty
        );
        m_axi_arready <= arready;
        m_axi_rvalid  <= rvalid;
        m_axi_rid     <= rid[ID_WIDTH-1:0];
        m_axi_rdata   <= rdata[DATA_WIDTH-1:0];
        m_axi_rresp   <= rresp[1:0];
        m_axi_rlast   <= rlast;
        m_axi_awready <= awready;
        m_axi_wready  <= wready;
        m_axi_bvalid  <= bvalid;
        m_axi_bid     <= bid[ID_WIDTH-1:0];
        m_axi_bresp   <= bresp[1:0];
        fault         <= faulty;
    end
endmodule
