"""Boards: identify one, test its memory, load a compiled directory, run, read counters."""
