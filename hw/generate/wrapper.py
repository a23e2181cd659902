"""The accelerator as block designs want it: ``aclk``, ``aresetn``, AXI that tools recognize."""

import re

from hw.contract.params import HwParams
from hw.generate.text import comment, header

__all__ = ["WRAPPER", "wrapper"]

WRAPPER = "spikeloom_axi"
"""Name of the wrapping module."""

_PORT = re.compile(r"^    (input|output) +(?:wire|reg) +(\[\d+:\d+\] )? *(\w+)", re.MULTILINE)
_INTERFACES = {"s_axil": "S_AXIL", "m_axi": "M_AXI"}


def wrapper(params: HwParams, verilog: str, top: str) -> str:
    """Return Verilog of the wrapper around module `top`, whose text is `verilog`.

    Reset is active low and taken through two registers: it may come at any time.
    """
    begin = verilog.index(f"module {top} (")
    ports = _PORT.findall(verilog[begin : verilog.index(");", begin)])
    about = f"{WRAPPER}: {top} with aclk and aresetn, and interfaces that Vivado infers."
    lines, inside = [], [".clk(aclk)", ".rst(reset[1])"]
    for way, width, name in ports:
        if name in ("clk", "rst"):
            continue
        inside.append(f".{name}({name})")
        lines += [f"    {_attribute(name, params)}", f"    {way:6} wire {width:8}{name},"]
    lines[-1] = lines[-1].removesuffix(",")
    return (
        comment(header(params, about), "//")
        + f"""\

module {WRAPPER} (
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK" *)
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF S_AXIL:M_AXI, ASSOCIATED_RESET aresetn" *)
    input  wire         aclk,
    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 aresetn RST" *)
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input  wire         aresetn,
"""
        + "\n".join(lines)
        + f"""
);
    (* ASYNC_REG = "TRUE" *) reg [1:0] reset = 2'b11;

    always @(posedge aclk) reset <= {{reset[0], ~aresetn}};

    {top} top (
        {f",{chr(10)}        ".join(inside)}
    );
endmodule
"""
    )


def _attribute(port: str, params: HwParams) -> str:
    """Return what tells Vivado which signal of which interface a port is."""
    for prefix, name in _INTERFACES.items():
        if port.startswith(f"{prefix}_"):
            kind = f"xilinx.com:interface:aximm:1.0 {name}"
            signal = f"{port.removeprefix(f'{prefix}_').upper()}"
            info = f'(* X_INTERFACE_INFO = "{kind} {signal}" *)'
            if signal != "AWADDR":  # the first one carries what the interface is
                return info
            protocol = "AXI4LITE" if prefix == "s_axil" else "AXI4"
            width = 32 if prefix == "s_axil" else params.axi_data_width
            about = f"PROTOCOL {protocol}, DATA_WIDTH {width}"
            if prefix == "m_axi":
                about += f", ADDR_WIDTH {params.axi_addr_width}, HAS_BURST 1"
                about += f", MAX_BURST_LENGTH {params.max_burst_words}"
            return f'(* X_INTERFACE_PARAMETER = "{about}" *)\n    {info}'
    return (
        '(* X_INTERFACE_INFO = "xilinx.com:signal:interrupt:1.0 irq INTERRUPT" *)\n'
        '    (* X_INTERFACE_PARAMETER = "SENSITIVITY LEVEL_HIGH" *)'
    )
