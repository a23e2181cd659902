"""The system on a chip, simulated: bridge, DRAM controller, DRAM and accelerator behind a port."""
