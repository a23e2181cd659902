"""The functional device: a program's bits and counts, without time."""
