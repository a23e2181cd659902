"""The accelerator on a board: a LiteX system with its DRAM, a bitstream, scripts for a Zynq."""
