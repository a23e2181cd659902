// A multiplier of LUTs for Yosys: a row of adders for each bit of B, two bits wider than A.
// Yosys's own, where there are no DSPs, takes far more LUTs, which would flatter the spike array.
(* techmap_celltype = "$mul" *)
module row_multiplier (A, B, Y);
    parameter A_SIGNED = 0, B_SIGNED = 0;
    parameter A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
    localparam W = A_WIDTH + 2;

    input  [A_WIDTH-1:0] A;
    input  [B_WIDTH-1:0] B;
    output [Y_WIDTH-1:0] Y;

    wire [W-1:0] a = {{2{A_SIGNED && A[A_WIDTH-1]}}, A};
    wire [W*(B_WIDTH+1)-1:0] sums;  // before each row and after the last, at the row's place
    wire signed [W+B_WIDTH-1:0] product;

    assign sums[W-1:0] = 0;
    genvar i;
    generate
        for (i = 0; i < B_WIDTH; i = i + 1) begin : rows
            // An ALU, not a sum: this way around, B's bit and the addition share a LUT.
            localparam NEGATIVE = B_SIGNED && i == B_WIDTH - 1;
            wire [W-1:0] sum, propagate, carry;
            \$alu #(
                .A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(W), .B_WIDTH(W), .Y_WIDTH(W)
            ) alu (
                .A(sums[W*i+:W]), .B({W{B[i]}} & a), .CI(NEGATIVE), .BI(NEGATIVE),
                .Y(sum), .X(propagate), .CO(carry)
            );
            assign product[i] = sum[0];
            assign sums[W*(i+1)+:W] = {sum[W-1], sum[W-1:1]};
        end
    endgenerate
    assign product[W+B_WIDTH-1:B_WIDTH] = sums[W*B_WIDTH+:W];
    assign Y = product;
endmodule
