// Simulation models of two cells of an ECP5 that Yosys knows as black boxes only, after the memory
// and DSP usage guides of the device (FPGA-TN-02204, FPGA-TN-02205), as far as Yosys uses them.

// Block RAM of 2048 bytes of 9 bits; both ports without output registers. Port A alone
// writes, as Yosys maps memories with one write port. A word that port B reads meanwhile is x.
module DP16KD (
    input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13,
    DIA14, DIA15, DIA16, DIA17,
    input DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13,
    DIB14, DIB15, DIB16, DIB17,
    input ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13,
    input ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13,
    input CLKA, CEA, OCEA, WEA, RSTA, CSA0, CSA1, CSA2,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB0, CSB1, CSB2,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13,
    DOA14, DOA15, DOA16, DOA17,
    output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13,
    DOB14, DOB15, DOB16, DOB17
);
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
    parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG";
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB";
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000";
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "AUTO";
    parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0;
    parameter [319:0] INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0;
    parameter [319:0] INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0;
    parameter [319:0] INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0;
    parameter [319:0] INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0;
    parameter [319:0] INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0;
    parameter [319:0] INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0;
    parameter [319:0] INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0;
    parameter [319:0] INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0;
    parameter [319:0] INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0;
    parameter [319:0] INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0;
    parameter [319:0] INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0;
    parameter [319:0] INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0;
    parameter [319:0] INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0;
    parameter [319:0] INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0;
    parameter [319:0] INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;
    localparam [20479:0] INIT = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
        INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
        INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
        INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
        INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
        INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };

    wire [35:0] di = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10,
        DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0
    };
    wire [13:0] a = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
    };
    wire [13:0] b = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
    };
    reg [35:0] doa = 0, dob = 0;
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0
    } = DATA_WIDTH_B == 36 ? dob[17:0] : doa[17:0];
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0
    } = DATA_WIDTH_B == 36 ? dob[35:18] : dob[17:0];

    reg [8:0] bytes[0:2047];
    integer i;
    initial begin
        for (i = 0; i < 1024; i = i + 1) {bytes[2*i+1], bytes[2*i]} = INIT[20*i+:18];
        #1;
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" ||
            RESETMODE != "SYNC" && (RSTA !== 0 || RSTB !== 0) ||
            CLKAMUX != "CLKA" || CLKBMUX != "CLKB" || CSDECODE_A != "0b000" ||
            CSDECODE_B != "0b000" || WEB !== 0) begin
            $display("FAIL: %m is used as no model here is");
            $fatal(1);
        end
    end

    // The bytes that a port addresses, those that it writes, and its word among them.
    function [10:0] first(input integer width, input [13:0] address);
        first = width == 36 ? {address[13:5], 2'd0} :
            width == 18 ? {address[13:4], 1'd0} : address[13:3];
    endfunction

    function [3:0] writes(input integer width, input [13:0] address, input enable);
        writes = !enable ? 4'd0 : width == 36 ? address[3:0] :
            width == 18 ? {2'd0, address[1:0]} : 4'd1;
    endfunction

    function [35:0] narrow(input integer width, input [13:0] address, input [35:0] word);
        narrow = width >= 9 ? word : width == 4 ? word[4*address[2]+:4] :
            width == 2 ? word[2*address[2:1]+:2] : word[address[2:0]];
    endfunction

    function [8:0] merged(
        input integer width, input [13:0] address, input [8:0] before_it, input [8:0] data
    );
        begin
            merged = width >= 9 ? data : before_it;
            if (width == 4) merged[4*address[2]+:4] = data[3:0];
            if (width == 2) merged[2*address[2:1]+:2] = data[1:0];
            if (width == 1) merged[address[2:0]] = data[0];
        end
    endfunction

    function [35:0] known(
        input [35:0] word, input [10:0] at, input integer width,
        input [10:0] other, input [3:0] written
    );
        integer k;
        begin
            known = word;
            for (k = 0; k < 4; k = k + 1)
                if (written[k] && other + k >= at && other + k < at + (width >= 9 ? width / 9 : 1))
                    known[9*(other+k-at)+:9] = 9'bx;
        end
    endfunction

    wire [10:0] at_a = first(DATA_WIDTH_A, a);
    wire [10:0] at_b = first(DATA_WIDTH_B, b);
    wire [3:0] write_a = writes(DATA_WIDTH_A, a, CEA && WEA && !RSTA);
    wire [35:0] word_a = {bytes[at_a+3], bytes[at_a+2], bytes[at_a+1], bytes[at_a]};
    wire [35:0] word_b = {bytes[at_b+3], bytes[at_b+2], bytes[at_b+1], bytes[at_b]};

    integer k;
    always @(posedge CLKA) begin
        for (k = 0; k < 4; k = k + 1)
            if (write_a[k]) bytes[at_a+k] <= merged(DATA_WIDTH_A, a, bytes[at_a+k], di[9*k+:9]);
        if (RSTA) doa <= 0;
        else if (CEA && (!WEA || WRITEMODE_A == "READBEFOREWRITE"))
            doa <= narrow(DATA_WIDTH_A, a, word_a);
        else if (CEA && WRITEMODE_A == "WRITETHROUGH") doa <= di;
    end

    always @(posedge CLKB)
        if (RSTB) dob <= 0;
        else if (CEB)
            dob <= narrow(DATA_WIDTH_B, b, known(word_b, at_b, DATA_WIDTH_B, at_a, write_a));
endmodule

// Multiplier without registers.
module MULT18X18D (
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    input C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16, C17,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input CLK0, CLK1, CLK2, CLK3, CE0, CE1, CE2, CE3, RST0, RST1, RST2, RST3,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17, P18,
    P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
    wire [17:0] a = {
        A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
    };
    wire [17:0] b = {
        B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
    };
    wire signed [37:0] product = $signed({SIGNEDA && a[17], a}) * $signed({SIGNEDB && b[17], b});
    assign {
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
        P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
    } = product[35:0];
endmodule
