"""The memory port: reads and writes of many clients as AXI4 bursts."""
