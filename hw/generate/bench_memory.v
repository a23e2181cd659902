// Memory behind AXI4: bursts of full words, answered in order, held against the protocol.
module spikeloom_memory #(
    parameter DATA_WIDTH = 64,
    parameter ADDRESS_WIDTH = 40,
    parameter ID_WIDTH = 3,
    parameter DEPTH = 1024
) (
    input wire clk,
    input wire rst,
    input wire [31:0] stalls,
    input wire [31:0] latency,
    input wire [31:0] seed,
    output reg [31:0] transfers,
    output reg fault,

    input  wire [ID_WIDTH-1:0] arid,
    input  wire [ADDRESS_WIDTH-1:0] araddr,
    input  wire [7:0] arlen,
    input  wire [2:0] arsize,
    input  wire [1:0] arburst,
    input  wire arvalid,
    output wire arready,
    output reg  [ID_WIDTH-1:0] rid,
    output reg  [DATA_WIDTH-1:0] rdata,
    output wire [1:0] rresp,
    output reg  rlast,
    output reg  rvalid,
    input  wire rready,

    input  wire [ID_WIDTH-1:0] awid,
    input  wire [ADDRESS_WIDTH-1:0] awaddr,
    input  wire [7:0] awlen,
    input  wire [2:0] awsize,
    input  wire [1:0] awburst,
    input  wire awvalid,
    output wire awready,
    input  wire [DATA_WIDTH-1:0] wdata,
    input  wire [DATA_WIDTH/8-1:0] wstrb,
    input  wire wlast,
    input  wire wvalid,
    output wire wready,
    output reg  [ID_WIDTH-1:0] bid,
    output wire [1:0] bresp,
    output reg  bvalid,
    input  wire bready
);
    localparam BYTES = DATA_WIDTH / 8;
    localparam WAITING_LOG2 = 4;  // bursts that may wait, each way

    reg [DATA_WIDTH-1:0] words[0:DEPTH-1];

    // A die for each channel: bytes of a xorshift generator.
    reg [63:0] dice;
    wire [63:0] dice_a = dice ^ (dice << 13);
    wire [63:0] dice_b = dice_a ^ (dice_a >> 7);
    reg [4:0] open;
    reg [31:0] now;
    integer die;
    always @(posedge clk) begin
        now <= rst ? 0 : now + 1;
        dice <= rst ? {32'h9e3779b9, seed} : dice_b ^ (dice_b << 17);
        for (die = 0; die < 5; die = die + 1)
            open[die] <= dice[8+8*die+:8] * 100 >= {24'd0, stalls[7:0]} * 256;
    end

    // Reads: addresses wait in a ring, each until its time.
    reg [ID_WIDTH-1:0] r_id[0:(1<<WAITING_LOG2)-1];
    reg [ADDRESS_WIDTH-1:0] r_address[0:(1<<WAITING_LOG2)-1];
    reg [8:0] r_beats[0:(1<<WAITING_LOG2)-1];
    reg [31:0] r_due[0:(1<<WAITING_LOG2)-1];
    reg [WAITING_LOG2:0] r_put, r_take;
    reg [8:0] r_beat;
    wire [WAITING_LOG2-1:0] r_at = r_take[WAITING_LOG2-1:0];
    wire [WAITING_LOG2:0] r_waiting = r_put - r_take;
    wire [ADDRESS_WIDTH-1:0] r_word = r_address[r_at] / BYTES + {31'd0, r_beat};
    wire r_last = r_beat + 1 == r_beats[r_at];
    assign arready = open[0] && !r_waiting[WAITING_LOG2];
    assign rresp = 0;

    always @(posedge clk) begin
        if (rst) begin
            r_put <= 0;
            r_take <= 0;
            r_beat <= 0;
            rvalid <= 0;
            rid <= 0;
            rdata <= 0;
            rlast <= 0;
        end else begin
            if (arvalid && arready) begin
                r_id[r_put[WAITING_LOG2-1:0]] <= arid;
                r_address[r_put[WAITING_LOG2-1:0]] <= araddr;
                r_beats[r_put[WAITING_LOG2-1:0]] <= arlen + 1;
                r_due[r_put[WAITING_LOG2-1:0]] <= now + latency;
                r_put <= r_put + 1;
            end
            if (rready) rvalid <= 0;
            if ((!rvalid || rready) && r_waiting != 0 && now >= r_due[r_at] && open[1]) begin
                rvalid <= 1;
                rid <= r_id[r_at];
                rdata <= words[r_word];
                rlast <= r_last;
                r_beat <= r_last ? 0 : r_beat + 1;
                if (r_last) r_take <= r_take + 1;
            end
        end
    end

    // Writes: data are taken after their address; with stalls, an address once its data are seen.
    reg [ID_WIDTH-1:0] w_id[0:(1<<WAITING_LOG2)-1];
    reg [ADDRESS_WIDTH-1:0] w_address[0:(1<<WAITING_LOG2)-1];
    reg [8:0] w_beats[0:(1<<WAITING_LOG2)-1];
    reg [WAITING_LOG2:0] w_put, w_take, b_take;
    reg [8:0] w_beat;
    wire [WAITING_LOG2-1:0] w_at = w_take[WAITING_LOG2-1:0];
    wire [WAITING_LOG2:0] w_waiting = w_put - b_take;
    wire [ADDRESS_WIDTH-1:0] w_word = w_address[w_at] / BYTES + {31'd0, w_beat};
    wire w_last = w_beat + 1 == w_beats[w_at];
    reg data_seen;
    assign awready = open[2] && !w_waiting[WAITING_LOG2] && (stalls == 0 || data_seen);
    assign wready = open[3] && w_put != w_take;
    assign bresp = 0;
    always @(posedge clk) data_seen <= wvalid && w_put == w_take && !(awvalid && awready);

    integer byte_index;
    reg [DATA_WIDTH-1:0] merged;
    always @(posedge clk) begin
        if (rst) begin
            w_put <= 0;
            w_take <= 0;
            b_take <= 0;
            w_beat <= 0;
            bvalid <= 0;
            bid <= 0;
        end else begin
            if (awvalid && awready) begin
                w_id[w_put[WAITING_LOG2-1:0]] <= awid;
                w_address[w_put[WAITING_LOG2-1:0]] <= awaddr;
                w_beats[w_put[WAITING_LOG2-1:0]] <= awlen + 1;
                w_put <= w_put + 1;
            end
            if (wvalid && wready) begin
                merged = words[w_word];
                for (byte_index = 0; byte_index < BYTES; byte_index = byte_index + 1)
                    if (wstrb[byte_index]) merged[8*byte_index+:8] = wdata[8*byte_index+:8];
                words[w_word] <= merged;
                w_beat <= w_last ? 0 : w_beat + 1;
                if (w_last) w_take <= w_take + 1;
            end
            if (bready) bvalid <= 0;
            if ((!bvalid || bready) && b_take != w_take && open[4]) begin
                bvalid <= 1;
                bid <= w_id[b_take[WAITING_LOG2-1:0]];
                b_take <= b_take + 1;
            end
        end
    end

    // What AXI4 and this memory ask of the accelerator.
    reg ar_held, aw_held, w_held;
    reg [ADDRESS_WIDTH+7:0] ar_before, aw_before;
    reg [DATA_WIDTH:0] w_before;

    task broken(input [64*8-1:0] why);
        begin
            $display("cycle %0d: %0s", now, why);
            fault <= 1;
        end
    endtask

    task check_burst(
        input [ADDRESS_WIDTH-1:0] address, input [7:0] len, input [2:0] size, input [1:0] burst
    );
        begin
            if (burst !== 1) broken("a burst is not INCR");
            if (1 << size !== BYTES) broken("a burst's beats are not as wide as the bus");
            if (address % BYTES != 0) broken("an address is not a multiple of a word");
            if (address[11:0] + (len + 1) * BYTES > 4096) broken("a burst crosses 4 KiB");
            if (address / BYTES + len >= DEPTH) broken("a burst lies beyond memory");
        end
    endtask

    always @(posedge clk) begin
        if (rst) begin
            fault <= 0;
            transfers <= 0;
            {ar_held, aw_held, w_held} <= 0;
        end else begin
            transfers <= transfers + {31'd0, rvalid && rready} + {31'd0, wvalid && wready};
            ar_held <= arvalid && !arready;
            aw_held <= awvalid && !awready;
            w_held <= wvalid && !wready;
            ar_before <= {araddr, arlen};
            aw_before <= {awaddr, awlen};
            w_before <= {wdata, wlast};
            if ((^{arvalid, awvalid, wvalid}) === 1'bx) broken("arvalid, awvalid or wvalid is x");
            if ((^{rvalid && rready, bvalid && bready}) === 1'bx)
                broken("rready or bready is x");
            if (ar_held && (!arvalid || ar_before !== {araddr, arlen}))
                broken("a read address changed while it waited");
            if (aw_held && (!awvalid || aw_before !== {awaddr, awlen}))
                broken("a write address changed while it waited");
            if (w_held && (!wvalid || w_before !== {wdata, wlast}))
                broken("write data changed while they waited");
            if (arvalid && arready) check_burst(araddr, arlen, arsize, arburst);
            if (awvalid && awready) check_burst(awaddr, awlen, awsize, awburst);
            if (wvalid && wready && wlast !== w_last) broken("wlast is not at a burst's end");
        end
    end
endmodule
