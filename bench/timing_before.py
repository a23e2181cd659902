"""How fast blocks clocked before any was pipelined for it: what a table is held against."""

__all__ = ["BEFORE"]

BEFORE = {
    "requantizer": 56.9,
    "norm": 58.6,
    "softmax": 71.8,
    "SwiGLU": 77.5,
    "encoder": 73.7,
    "neuron": 129.7,
    "threshold": 118.8,
    "cache writer": 93.2,
    "event queue": 120.8,
    "array": 98.6,
    "fetcher": 96.4,
    "bursts": 69.9,
    "write port": 92.9,
    "drain": 107.1,
    "controller": 88.2,
}
"""MHz by block, parameters of `test`, seed 1, the same tools, at commit c603a20."""
