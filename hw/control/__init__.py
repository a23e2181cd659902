"""The program: its slots are read, checked and issued in order; registers and counters."""
