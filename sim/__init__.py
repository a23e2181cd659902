"""Devices that execute a compiled program, and the command that runs one layer on them."""
