// Starts one program on spikeloom_top, as a host does, and compares what it wrote to memory.
//   +stalls=N   percent of the cycles in which memory keeps each channel waiting (0 to 90)
//   +latency=N  cycles from a read's address to its first data (1 to 100000, default 20)
//   +seed=N     of the stalls
//   +waves      record spikeloom_bench.vcd
module spikeloom_bench;
`include "spikeloom_bench.vh"

    localparam PATIENCE = 400_000;  // cycles without a transfer: longer than the array can work
    localparam SHOWN = 10;  // differences that are printed

    reg clk = 0;
    reg rst = 1;
    wire irq;
    wire fault;
    wire [31:0] transfers;
    reg [63:0] expected[0:WORDS - 1];  // byte address, value
    integer stalls, latency, seed;

    reg [REGISTER_WIDTH-1:0] awaddr, araddr;
    reg [31:0] wdata;
    reg awvalid = 0, wvalid = 0, bready = 0, arvalid = 0, rready = 0;
    wire awready, wready, bvalid, arready, rvalid;
    wire [1:0] bresp, rresp;
    wire [31:0] rdata;

    wire [ID_WIDTH-1:0] m_axi_awid, m_axi_bid, m_axi_arid, m_axi_rid;
    wire [ADDRESS_WIDTH-1:0] m_axi_awaddr, m_axi_araddr;
    wire [7:0] m_axi_awlen, m_axi_arlen;
    wire [2:0] m_axi_awsize, m_axi_arsize, m_axi_awprot, m_axi_arprot;
    wire [1:0] m_axi_awburst, m_axi_arburst, m_axi_bresp, m_axi_rresp;
    wire m_axi_awlock, m_axi_arlock;
    wire [3:0] m_axi_awcache, m_axi_arcache, m_axi_awqos, m_axi_arqos;
    wire [DATA_WIDTH-1:0] m_axi_wdata, m_axi_rdata;
    wire [DATA_WIDTH/8-1:0] m_axi_wstrb;
    wire m_axi_awvalid, m_axi_awready, m_axi_wvalid, m_axi_wready, m_axi_wlast;
    wire m_axi_bvalid, m_axi_bready, m_axi_arvalid, m_axi_arready;
    wire m_axi_rvalid, m_axi_rready, m_axi_rlast;

    spikeloom_top top (
        .clk(clk), .rst(rst), .irq(irq),
        .s_axil_awaddr(awaddr), .s_axil_awprot(3'd0),
        .s_axil_awvalid(awvalid), .s_axil_awready(awready),
        .s_axil_wdata(wdata), .s_axil_wstrb(4'hf), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
        .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(bready),
        .s_axil_araddr(araddr), .s_axil_arprot(3'd0),
        .s_axil_arvalid(arvalid), .s_axil_arready(arready),
        .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(rready),
        .m_axi_awid(m_axi_awid), .m_axi_awaddr(m_axi_awaddr), .m_axi_awlen(m_axi_awlen),
        .m_axi_awsize(m_axi_awsize), .m_axi_awburst(m_axi_awburst), .m_axi_awlock(m_axi_awlock),
        .m_axi_awcache(m_axi_awcache), .m_axi_awprot(m_axi_awprot), .m_axi_awqos(m_axi_awqos),
        .m_axi_awvalid(m_axi_awvalid), .m_axi_awready(m_axi_awready),
        .m_axi_wdata(m_axi_wdata), .m_axi_wstrb(m_axi_wstrb), .m_axi_wlast(m_axi_wlast),
        .m_axi_wvalid(m_axi_wvalid), .m_axi_wready(m_axi_wready),
        .m_axi_bid(m_axi_bid), .m_axi_bresp(m_axi_bresp),
        .m_axi_bvalid(m_axi_bvalid), .m_axi_bready(m_axi_bready),
        .m_axi_arid(m_axi_arid), .m_axi_araddr(m_axi_araddr), .m_axi_arlen(m_axi_arlen),
        .m_axi_arsize(m_axi_arsize), .m_axi_arburst(m_axi_arburst), .m_axi_arlock(m_axi_arlock),
        .m_axi_arcache(m_axi_arcache), .m_axi_arprot(m_axi_arprot), .m_axi_arqos(m_axi_arqos),
        .m_axi_arvalid(m_axi_arvalid), .m_axi_arready(m_axi_arready),
        .m_axi_rid(m_axi_rid), .m_axi_rdata(m_axi_rdata), .m_axi_rresp(m_axi_rresp),
        .m_axi_rlast(m_axi_rlast), .m_axi_rvalid(m_axi_rvalid), .m_axi_rready(m_axi_rready)
    );

    spikeloom_memory #(
        .DATA_WIDTH(DATA_WIDTH), .ADDRESS_WIDTH(ADDRESS_WIDTH), .ID_WIDTH(ID_WIDTH),
        .DEPTH(MEMORY_WORDS)
    ) memory (
        .clk(clk), .rst(rst), .stalls(stalls), .latency(latency), .seed(seed),
        .transfers(transfers), .fault(fault),
        .arid(m_axi_arid), .araddr(m_axi_araddr), .arlen(m_axi_arlen), .arsize(m_axi_arsize),
        .arburst(m_axi_arburst), .arvalid(m_axi_arvalid), .arready(m_axi_arready),
        .rid(m_axi_rid), .rdata(m_axi_rdata), .rresp(m_axi_rresp), .rlast(m_axi_rlast),
        .rvalid(m_axi_rvalid), .rready(m_axi_rready),
        .awid(m_axi_awid), .awaddr(m_axi_awaddr), .awlen(m_axi_awlen), .awsize(m_axi_awsize),
        .awburst(m_axi_awburst), .awvalid(m_axi_awvalid), .awready(m_axi_awready),
        .wdata(m_axi_wdata), .wstrb(m_axi_wstrb), .wlast(m_axi_wlast),
        .wvalid(m_axi_wvalid), .wready(m_axi_wready),
        .bid(m_axi_bid), .bresp(m_axi_bresp), .bvalid(m_axi_bvalid), .bready(m_axi_bready)
    );

    always #5 clk = !clk;

    reg taken, data_taken;

    task fail(input [64*8-1:0] why);
        begin
            $display("FAIL: %0s", why);
            $fatal(1);
        end
    endtask

    // Inputs change at the falling edge, far from the edge at which the accelerator takes them.
    task write_register(input [REGISTER_WIDTH-1:0] address, input [31:0] value);
        begin
            awaddr = address;
            wdata = value;
            awvalid = 1;
            wvalid = 1;
            while (awvalid || wvalid) begin
                @(posedge clk) taken = awready;
                data_taken = wready;
                @(negedge clk) if (taken) awvalid = 0;
                if (data_taken) wvalid = 0;
            end
            bready = 1;
            taken = 0;
            while (!taken) begin
                @(posedge clk) taken = bvalid;
                if (taken && bresp != 0) fail("a register was not written");
                @(negedge clk);
            end
            bready = 0;
        end
    endtask

    reg [31:0] got;

    task read_register(input [REGISTER_WIDTH-1:0] address);
        begin
            araddr = address;
            arvalid = 1;
            while (arvalid) begin
                @(posedge clk) taken = arready;
                @(negedge clk) if (taken) arvalid = 0;
            end
            rready = 1;
            taken = 0;
            while (!taken) begin
                @(posedge clk) taken = rvalid;
                got = rdata;
                if (taken && rresp != 0) fail("a register was not read");
                @(negedge clk);
            end
            rready = 0;
        end
    endtask

    integer index, idle, wrong;
    reg [31:0] counted, cycles, want, found;
    reg [DATA_WIDTH-1:0] word;

    initial begin
        if (!$value$plusargs("stalls=%d", stalls)) stalls = 0;
        if (!$value$plusargs("latency=%d", latency)) latency = 20;
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        if ((stalls >= 0 && stalls <= 90) !== 1'b1) fail("+stalls must be 0 to 90");
        if ((latency >= 1 && latency <= 100000) !== 1'b1) fail("+latency must be 1 to 100000");
        if ((seed >= 0) !== 1'b1) fail("+seed must be a whole number");
        if ($test$plusargs("waves")) begin
            $dumpfile("spikeloom_bench.vcd");
            $dumpvars(0, spikeloom_bench);
        end
        $readmemh("spikeloom_memory.hex", memory.words);
        $readmemh("spikeloom_expected.hex", expected);
        repeat (4) @(negedge clk);
        rst = 0;
        @(negedge clk);

        for (index = 0; index < 8; index = index + 1) begin
            read_register(ID0 + index * 4);
            if (got !== FINGERPRINT[32*index+:32]) fail("this hardware is not the program's");
        end
        write_register(PROGRAM_LOW, PROGRAM[31:0]);
        write_register(PROGRAM_HIGH, PROGRAM[63:32]);
        write_register(IRQ_ENABLE, 1);
        write_register(CONTROL, 1);

        idle = 0;
        counted = transfers;
        while (!irq) begin
            @(negedge clk) idle = idle + 1;
            if (transfers != counted) idle = 0;
            counted = transfers;
            if (fault) fail("the bus's protocol was broken");
            if (idle == PATIENCE) fail("memory stands still, and no interrupt came");
        end
        read_register(STATUS);
        if (got[2:0] !== 3'b010) fail("STATUS does not say done, without an error");
        read_register(ERROR);
        if (got !== 0) fail("ERROR is not 0");
        read_register(CYCLES_LOW);
        cycles = got;
        write_register(IRQ_STATUS, 1);
        @(negedge clk) if (irq) fail("irq stayed high");

        wrong = 0;
        for (index = 0; index < WORDS; index = index + 1) begin
            word = memory.words[expected[index][63:32] / (DATA_WIDTH / 8)];
            found = word[expected[index][63:32] % (DATA_WIDTH / 8) * 8+:32];
            want = expected[index][31:0];
            if (found !== want || ^want === 1'bx) begin
                wrong = wrong + 1;
                if (wrong <= SHOWN)
                    $display("address %h: expected %h, got %h", expected[index][63:32], want, found);
            end
        end
        if (fault) fail("the bus's protocol was broken");
        if (wrong != 0) begin
            $display("FAIL: %0d of %0d words differ", wrong, WORDS);
            $fatal(1);
        end
        $display("PASS: %0d words compared, %0d cycles", WORDS, cycles);
        $finish;
    end
endmodule
