"""The written bench: its memory, its words, and that a simulator without Python judges by them."""

import re
import shutil
import subprocess

import pytest

from hw.contract import regs
from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from hw.generate import bench

MEMORY = bytes(range(32)) + b"\xff"
EXPECTED = [(4, 0x07060504), (8, 0x80000000)]


@pytest.fixture
def content():
    return bench.Content(
        params=preset("test"), what="Nothing", program=8, memory=MEMORY, expected=EXPECTED
    )


def test_memory_is_a_word_a_line_and_padded(content, tmp_path):
    bench.write(content, tmp_path)
    comment, *lines = (tmp_path / bench.MEMORY).read_text().splitlines()
    assert comment.startswith("//")
    assert lines[0] == "0706050403020100" and lines[-1] == "00000000000000ff"
    assert b"".join(bytes.fromhex(line)[::-1] for line in lines) == MEMORY + bytes(7)


def test_expected_words_are_addresses_and_values(content, tmp_path):
    bench.write(content, tmp_path)
    lines = (tmp_path / bench.EXPECTED).read_text().splitlines()[1:]
    assert lines == ["00000004_07060504", "00000008_80000000"]


def test_the_bench_knows_hardware_program_and_registers(content, tmp_path):
    files = bench.write(content, tmp_path)
    assert [file.name for file in files] == [bench.BENCH, bench.MEMORY, bench.EXPECTED]
    text = files[0].read_text()
    found = dict(re.findall(r"^    localparam (?:\[.*\] )?(\w+) = (\S+?);", text, re.MULTILINE))
    assert found["DATA_WIDTH"] == "64" and found["MEMORY_WORDS"] == "5" and found["WORDS"] == "2"
    assert found["FINGERPRINT"] == f"256'h{fingerprint(preset('test'))}"
    assert found["PROGRAM"] == "64'h8"
    for name in ("CONTROL", "STATUS", "ERROR", "PROGRAM_LOW", "PROGRAM_HIGH", "CYCLES_LOW"):
        assert int(found[name].removeprefix("'h"), 16) == regs.offset(name), name
    assert "include" not in text


def test_a_program_without_outputs_is_refused(content, tmp_path):
    empty = bench.Content(**vars(content) | {"expected": ()})
    with pytest.raises(ValueError, match="^the program has no output to compare: name layers"):
        bench.write(empty, tmp_path)
    assert not any(tmp_path.iterdir())


# An accelerator that answers the registers and, in place of the program, issues bursts at will.
_FAKE = """
module spikeloom_top (
    input clk, input rst, output irq,
    input [8:0] s_axil_awaddr, input [2:0] s_axil_awprot,
    input s_axil_awvalid, output s_axil_awready,
    input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb,
    input s_axil_wvalid, output s_axil_wready,
    output [1:0] s_axil_bresp, output s_axil_bvalid, input s_axil_bready,
    input [8:0] s_axil_araddr, input [2:0] s_axil_arprot,
    input s_axil_arvalid, output s_axil_arready,
    output [31:0] s_axil_rdata, output [1:0] s_axil_rresp,
    output s_axil_rvalid, input s_axil_rready,
    output [ID_WIDTH-1:0] m_axi_awid, output [39:0] m_axi_awaddr, output [7:0] m_axi_awlen,
    output [2:0] m_axi_awsize, output [1:0] m_axi_awburst, output m_axi_awlock,
    output [3:0] m_axi_awcache, output [2:0] m_axi_awprot, output [3:0] m_axi_awqos,
    output m_axi_awvalid, input m_axi_awready,
    output [63:0] m_axi_wdata, output [7:0] m_axi_wstrb, output m_axi_wlast,
    output m_axi_wvalid, input m_axi_wready,
    input [ID_WIDTH-1:0] m_axi_bid, input [1:0] m_axi_bresp,
    input m_axi_bvalid, output m_axi_bready,
    output [ID_WIDTH-1:0] m_axi_arid, output [39:0] m_axi_araddr, output [7:0] m_axi_arlen,
    output [2:0] m_axi_arsize, output [1:0] m_axi_arburst, output m_axi_arlock,
    output [3:0] m_axi_arcache, output [2:0] m_axi_arprot, output [3:0] m_axi_arqos,
    output m_axi_arvalid, input m_axi_arready,
    input [ID_WIDTH-1:0] m_axi_rid, input [63:0] m_axi_rdata, input [1:0] m_axi_rresp,
    input m_axi_rlast, input m_axi_rvalid, output m_axi_rready
);
    reg b = 0, r = 0, go = 0, started = 0, aw = 0, w = 0, second = 0;
    reg [8:0] address;
    reg interrupt = 0;
    assign irq = interrupt;
    assign s_axil_awready = 1, s_axil_wready = 1, s_axil_arready = 1;
    assign s_axil_bvalid = b, s_axil_rvalid = r, s_axil_bresp = 0, s_axil_rresp = 0;
    wire [255:0] identity = 256'hFINGERPRINT;
    assign s_axil_rdata = address < 32 ? identity[address*8+:32] : address == STATUS ? 2 : 0;
    assign m_axi_awvalid = aw, m_axi_wvalid = w, m_axi_bready = 1, m_axi_rready = 1;
    assign m_axi_arvalid = 0, m_axi_awaddr = ADDRESS, m_axi_awlen = LEN;
    assign m_axi_awsize = SIZE, m_axi_awburst = BURST, m_axi_awid = 0;
    assign m_axi_wdata = {32'hVALUE, 32'd0}, m_axi_wstrb = 8'hf0, m_axi_wlast = LAST;
    always @(posedge clk) begin
        b <= s_axil_awvalid || b && !s_axil_bready;
        r <= s_axil_arvalid || r && !s_axil_rready;
        if (s_axil_arvalid) address <= s_axil_araddr;
        if (s_axil_awvalid && s_axil_awaddr == CONTROL) begin aw <= 1; w <= 1; end
        if (s_axil_awvalid && s_axil_awaddr == IRQ_STATUS) interrupt <= 0;
        if (aw && (m_axi_awready || DROP)) aw <= 0;
        if (w && m_axi_wready) w <= 0;
        if (m_axi_bvalid) interrupt <= 1;
    end
endmodule
"""
_RIGHT = {
    "ADDRESS": "0",
    "LEN": "0",
    "SIZE": "3",
    "BURST": "1",
    "VALUE": "07060504",
    "LAST": "1",
    "DROP": "0",
}


def run_fake(content, directory, change, *options):
    """Run the bench, written into `directory`, around a stand-in of the accelerator."""
    names = {"FINGERPRINT": fingerprint(content.params), "ID_WIDTH": str(bench.AXI_ID_WIDTH)}
    names |= {name: str(regs.offset(name)) for name in ("STATUS", "CONTROL", "IRQ_STATUS")}
    fake = re.sub(r"[A-Z][A-Z_]+", lambda m: (names | _RIGHT | change).get(m[0], m[0]), _FAKE)
    (directory / "fake.v").write_text(fake)
    compile_it = ["iverilog", "-g2012", "-s", "spikeloom_bench", "-o", "out", "fake.v", bench.BENCH]
    subprocess.run(compile_it, cwd=directory, check=True)
    command = ["vvp", "out", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (iverilog) is not here")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "PASS: 1 words compared"),
        ({"VALUE": "07060505"}, "address 00000004: expected 07060504, got 07060505"),
        ({"VALUE": "0706050x"}, "address 00000004: expected 07060504, got 0706050x"),
        ({"ADDRESS": "8"}, "FAIL: 1 of 1 words differ"),
        ({"ADDRESS": "4"}, "an address is not a multiple of a word"),
        ({"ADDRESS": "4096"}, "a burst lies beyond memory"),
        ({"LEN": "1"}, "wlast is not at a burst's end"),
        ({"ADDRESS": "4088", "LEN": "1"}, "a burst crosses 4 KiB"),
        ({"SIZE": "2"}, "a burst's beats are not as wide as the bus"),
        ({"BURST": "0"}, "a burst is not INCR"),
        ({"LAST": "0"}, "wlast is not at a burst's end"),
        ({"LAST": "1'bx"}, "wlast is not at a burst's end"),
        ({"DROP": "1"}, "a write address changed while it waited"),
        ({"FINGERPRINT": "1"}, "FAIL: this hardware is not the program's"),
    ],
)
def test_it_judges_what_is_written_and_how(change, said, content, tmp_path):
    # Memory that is not right by chance, and keeps everything waiting now and then.
    unwritten = {"memory": bytes(64), "expected": EXPECTED[:1]}
    bench.write(bench.Content(**vars(content) | unwritten), tmp_path)
    done = run_fake(content, tmp_path, change, "+stalls=90", "+seed=5")
    assert said in done.stdout
    assert (done.returncode == 0) == (not change)
    assert ("PASS" in done.stdout) == (not change)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus (iverilog) is not here")
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("+stalls=91", "FAIL: +stalls must be 0 to 90"),
        ("+stalls=-5", "FAIL: +stalls must be 0 to 90"),
        ("+stalls=abc", "FAIL: +stalls must be 0 to 90"),
        ("+latency=0", "FAIL: +latency must be 1 to 100000"),
        ("+seed=x", "FAIL: +seed must be a whole number"),
    ],
)
def test_what_it_cannot_do_is_refused(option, said, content, tmp_path):
    bench.write(bench.Content(**vars(content) | {"memory": bytes(64)}), tmp_path)
    done = run_fake(content, tmp_path, {}, option)
    assert said in done.stdout
    assert done.returncode
