"""Models of an ECP5's cells: what Yosys maps onto them does what the source says."""

import re
import shutil
import subprocess

import pytest

from hw.generate import yosys
from hw.generate.netlist import cell_models

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus (iverilog) is not here"
)

# A memory of one write and one read port of each width, and the products of both signs.
_DESIGN = """
module memory #(parameter WIDTH = 36, DEPTH = 9, READ = 36) (
    input clk, input write, input [DEPTH-1:0] at, input [WIDTH-1:0] in,
    input read, input [DEPTH-1:0] from, output reg [WIDTH-1:0] out
);
    reg [WIDTH-1:0] words[0:(1<<DEPTH)-1];
    integer i;
    initial begin
        out = 0;
        for (i = 0; i < 1 << DEPTH; i = i + 1) words[i] = i * 40503;
    end
    always @(posedge clk) begin
        if (write) words[at] <= in;
        if (read) out <= write && at == from ? {WIDTH{1'bx}} : words[from];
    end
endmodule

module dut (
    input clk, input write, input read, input [13:0] at, input [13:0] from, input [35:0] in,
    output [35:0] w36, output [17:0] w18, output [8:0] w9, output [3:0] w4, output [1:0] w2,
    output w1, output reg [35:0] signed_product, output reg [35:0] product
);
    memory #(36, 9) m36 (clk, write, at[8:0], in, read, from[8:0], w36);
    memory #(18, 10) m18 (clk, write, at[9:0], in[17:0], read, from[9:0], w18);
    memory #(9, 11) m9 (clk, write, at[10:0], in[8:0], read, from[10:0], w9);
    memory #(4, 12) m4 (clk, write, at[11:0], in[3:0], read, from[11:0], w4);
    memory #(2, 13) m2 (clk, write, at[12:0], in[1:0], read, from[12:0], w2);
    memory #(1, 14) m1 (clk, write, at, in[0], read, from, w1);
    always @(posedge clk) begin
        signed_product <= $signed(in[17:0]) * $signed(in[35:18]);
        product <= in[17:0] * in[35:18];
    end
endmodule
"""

_BENCH = """
module bench;
    reg clk = 0, write = 0, read = 0;
    reg [13:0] at = 0, from = 0;
    reg [35:0] in = 0;
    wire [141:0] of_source, of_cells;
    integer n, differences = 0;
    source a (clk, write, read, at, from, in, of_source[35:0], of_source[53:36], of_source[62:54],
        of_source[66:63], of_source[68:67], of_source[69], of_source[105:70], of_source[141:106]);
    cells b (clk, write, read, at, from, in, of_cells[35:0], of_cells[53:36], of_cells[62:54],
        of_cells[66:63], of_cells[68:67], of_cells[69], of_cells[105:70], of_cells[141:106]);
    initial begin
        for (n = 0; n < CYCLES; n = n + 1) begin
            write = $random;
            read = $random;
            at = $random;
            from = $random % 4 ? $random : at;
            in = {$random, $random};
            #5 clk = 1;
            #4 if (n && of_source !== of_cells) differences = differences + 1;
            #1 clk = 0;
        end
        $display("%0d differences", differences);
    end
endmodule
"""


def simulate(directory, models):
    source, cells = directory / "design.v", directory / "cells.v"
    source.write_text(_DESIGN.replace("module dut", "module source"))
    if not cells.exists():
        (directory / "mapped.v").write_text(_DESIGN)
        commands = ["read_verilog mapped.v", "synth_lattice -family ecp5 -top dut"]
        log = yosys.run([*commands, "stat", "write_verilog -noattr cells.v"], directory)
        assert re.search(r"\b6\b.* DP16KD", log) and re.search(r"\b2\b.* MULT18X18D", log)
        cells.write_text(cells.read_text().replace("module dut", "module cells"))
    (directory / "bench.v").write_text(_BENCH.replace("CYCLES", "5000"))
    (directory / "models.v").write_text(models)
    files = ["bench.v", "design.v", "cells.v", "models.v"]
    command = ["iverilog", "-g2012", "-s", "bench", "-o", "out", *files]
    subprocess.run(command, cwd=directory, check=True)
    return subprocess.run(["vvp", "out"], cwd=directory, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("netlist")


def test_cells_do_what_their_source_says(place):
    assert simulate(place, cell_models()) == "0 differences\n"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("{SIGNEDA && a[17], a}", "{1'b0, a}"),
        ("address[3:0]", "4'd7"),
        ("word[4*address[2]+:4]", "word[3:0]"),
        ("known[9*(other+k-at)+:9] = 9'bx;", ";"),
        ("INIT[20*i+:18]", "INIT[18*i+:18]"),
    ],
)
def test_a_fault_in_a_model_is_found(place, right, wrong):
    models = cell_models()
    assert right in models
    assert simulate(place, models.replace(right, wrong)) != "0 differences\n"
