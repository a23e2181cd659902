"""What runs inside the simulator: the memory on the bus and the host that drives the registers."""
