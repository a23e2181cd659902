"""Finds the first difference between two devices: instruction, tensor, row, element, time step.

Every device leaves a record of all that it wrote to memory, in order, from one run. Which bytes an
instruction writes follows from the program; the functional device walks it. Instructions that are
under way at once never write the same bytes, so the n-th writing of a byte is the same
instruction's on every device, whatever the order of others around it. Walking both records
instruction by instruction gives the first difference exactly, however often memory is used anew:
no run is repeated, which matters where a token takes minutes.
"""
