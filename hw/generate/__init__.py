"""From the description to files: Verilog and the reference pages of docs/."""
