"""How the hardware was before any block was pipelined for its clock: what tables are held against.

``python -m bench timing --preset test`` of commit 6d31736, whose blocks are those of c603a20. For
the levels, its selection of cells was that of `bench.timing` now.
"""

__all__ = ["AREA_BEFORE", "BEFORE", "XILINX_BEFORE"]

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

XILINX_BEFORE = {
    "requantizer": (517, 5, 26),
    "norm": (1599, 24, 26),
    "softmax": (2617, 22, 23),
    "SwiGLU": (748, 18, 21),
    "rotator": (627, 16, 22),
    "argmax": (103, 0, 5),
    "divider": (371, 0, 15),
    "encoder": (4203, 0, 20),
    "neuron": (1296, 0, 16),
    "threshold": (738, 0, 19),
    "cache writer": (552, 2, 13),
    "event queue": (344, 0, 10),
    "spike train": (157, 0, 7),
    "array": (1927, 0, 13),
    "array of 32 lanes": (7000, 0, 14),
    "fetcher": (201, 1, 12),
    "bursts": (229, 0, 20),
    "read port": (2296, 0, 20),
    "write port": (319, 0, 19),
    "drain": (470, 0, 12),
    "controller": (2830, 3, 16),
    "registers": (1160, 0, 17),
    "vector unit": (7132, 80, 25),
    "matrix path": (4158, 11, 27),
}
"""LUTs, DSPs and levels of logic by block on a Xilinx 7, of the same parameters and commit."""

AREA_BEFORE = {
    ("test", "spike", "ecp5"): (29_958, 14_046, 91, 19, 3_282),
    ("test", "spike", "xc7"): (19_870, 12_804, 96, 12, 1_364),
    ("test", "mac", "ecp5"): (29_661, 14_131, 107, 19, 3_282),
    ("test", "mac", "xc7"): (19_575, 12_655, 112, 12, 1_360),
    ("edge", "spike", "ecp5"): (66_380, 39_125, 172, 296, 930),
    ("edge", "spike", "xc7"): (43_692, 28_089, 186, 68, 10_892),
    ("edge", "mac", "xc7"): (42_024, 27_100, 314, 68, 10_888),
}
"""LUTs, flip-flops, DSPs, block RAMs and LUTs as RAM of a preset, array and family.

``python -m bench area`` of the same commit.
"""
