"""The RTL device: the generated Verilog in Verilator, with a memory on its bus."""
