// The memory of dram.sv with LiteDRAM's controller before it: the same pins, so that either serves.
// dram.cpp holds the bytes and checks the bus; time is the controller's alone.
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
    localparam int CHIP_WIDTH = 128;  // a burst of eight on 16 bits

    typedef bit [511:0] word_t;
    typedef bit [63:0]  strobe_t;

    import "DPI-C" function bit dram_observe(
        input bit rst,
        input bit arvalid, input bit arready, input int arid, input longint araddr,
        input int arlen, input int arsize, input int arburst,
        input bit rvalid, input bit rready, input int rid, input bit rlast,
        input bit awvalid, input bit awready, input int awid, input longint awaddr,
        input int awlen, input int awsize, input int awburst,
        input bit wvalid, input bit wready, input word_t wdata, input strobe_t wstrb,
        input bit wlast,
        input bit bvalid, input bit bready, input int bid
    );
    import "DPI-C" function void dram_load(
        input longint word, input int width, output word_t data
    );
    import "DPI-C" function void dram_store(
        input longint word, input int width, input word_t data, input strobe_t mask
    );

    logic                    chip_read, chip_write;
    logic [24:0]             chip_read_address, chip_write_address;
    logic [CHIP_WIDTH-1:0]   chip_read_data, chip_write_data;
    logic [CHIP_WIDTH/8-1:0] chip_write_mask;

    litedram_controller controller (.*);

    word_t loaded;
    always_ff @(posedge clk) begin
        fault <= dram_observe(
            rst,
            m_axi_arvalid, m_axi_arready, int'(m_axi_arid), longint'(m_axi_araddr),
            int'(m_axi_arlen), int'(m_axi_arsize), int'(m_axi_arburst),
            m_axi_rvalid, m_axi_rready, int'(m_axi_rid), m_axi_rlast,
            m_axi_awvalid, m_axi_awready, int'(m_axi_awid), longint'(m_axi_awaddr),
            int'(m_axi_awlen), int'(m_axi_awsize), int'(m_axi_awburst),
            m_axi_wvalid, m_axi_wready, word_t'(m_axi_wdata), strobe_t'(m_axi_wstrb),
            m_axi_wlast,
            m_axi_bvalid, m_axi_bready, int'(m_axi_bid)
        );
        if (chip_read) begin
            dram_load(longint'(chip_read_address), CHIP_WIDTH / 8, loaded);
            chip_read_data <= loaded[CHIP_WIDTH-1:0];
        end
        if (chip_write)
            dram_store(longint'(chip_write_address), CHIP_WIDTH / 8, word_t'(chip_write_data),
                       strobe_t'(chip_write_mask));
    end
endmodule
