"""Constraints of an accelerator's clock, for the tools that place it."""

from hw.generate.choice import Choice
from hw.generate.text import comment, header

__all__ = ["lpf", "sdc", "xdc"]


def sdc(choice: Choice) -> str:
    """Return Synopsys design constraints: the clock, for whatever reads them."""
    return comment(header(choice.params, "The clock of spikeloom_top."), "#") + _clock(choice)


def xdc(choice: Choice) -> str:
    """Return what Vivado reads: the clock that the accelerator is synthesized for by itself."""
    about = "The clock of spikeloom_axi, synthesized out of context; in a design its clock counts."
    return comment(header(choice.params, about), "#") + _clock(choice, port="aclk")


def lpf(choice: Choice) -> str:
    """Return what nextpnr-ecp5 and Diamond read: the clock, by frequency."""
    about = "The clock of spikeloom_top alone; a design with pins has one of its own."
    text = comment(header(choice.params, about), "#")
    return f'{text}\nFREQUENCY PORT "clk" {choice.clock_mhz:g} MHZ;\n'


def _clock(choice: Choice, port: str = "clk") -> str:
    period = 1000 / choice.clock_mhz
    return (
        f"\n# {choice.clock_mhz:g} MHz\n"
        f"create_clock -name {port} -period {period:.3f} [get_ports {port}]\n"
    )
