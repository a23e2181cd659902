"""Design-space sweeps: many accelerators, one piece of work, the cycle device, on Dask."""
