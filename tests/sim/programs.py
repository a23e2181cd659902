"""Programs put together by hand, run on the functional device or another."""

import numpy as np

from hw.contract import isa
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Opcode
from hw.contract.presets import preset
from sim.device import Registers
from sim.functional.device import Functional

PARAMS = preset("test")
MEMORY_BYTES = 1 << 16
A, B, C, D = 0x1000, 0x2000, 0x3000, 0x4000  # places in it
DEFAULTS = {
    Opcode.ENCODE: dict(
        rule=0, tokens=1, channels=4, max_count=127, multiplier=256, divisor=127, peak=0,
        dead_zone=0, source=0, source_stride=0,
    ),
    Opcode.MATMUL: dict(
        coding=2, weight_width=8, has_bias=0, strided=0, outputs=4, weights=0, channel_words=0,
        destination=0, destination_stride=0,
    ),
    Opcode.VECTOR: dict(
        operation=0, rows=1, elements=4, stride=16, a=0, b=0, destination=0, constant=1,
        a_by_token=0, b_by_position=0, b_same=0,
    ),
    Opcode.STORE: dict(
        cache=0, heads=1, channels=4, source=0, source_stride=16, codes=0, codes_stride=0,
        scales=0, scales_stride=0,
    ),
    Opcode.TOKEN: dict(tokens=0, vocabulary=100),
    Opcode.LAYERS: dict(layers=1, slots=1, records=0, record_count=0),
}  # fmt: skip


def slot(opcode: Opcode, **fields) -> bytes:
    """Assemble an instruction; fields that are not given are harmless."""
    values = {k: getattr(v, "value", v) for k, v in (DEFAULTS.get(opcode, {}) | fields).items()}
    return isa.assemble(opcode, **values)


END = slot(Opcode.END)


def copy(source: int, destination: int, **fields) -> bytes:
    """Assemble a VECTOR that copies."""
    return slot(Opcode.VECTOR, a=source, destination=destination, **fields)


def differs(one: bytes, other: bytes) -> bytes:
    """Return the record that makes a layered slot `one` mean `other`."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


class Bench:
    """A memory to put things into, and to run a program in; the program lies at its start.

    Parameters
    ----------
    params : HwParams
        The hardware.
    device : Device
        What runs it.
    """

    def __init__(self, params=PARAMS, device=None) -> None:
        self.params, self.device = params, device or Functional()
        self.memory = np.zeros(MEMORY_BYTES, np.uint8)
        self.tokens: list[tuple[int, int]] = []

    def put(self, address: int, values, dtype="<i4") -> None:
        """Write values."""
        if isinstance(values, bytes):
            raw = np.frombuffer(values, np.uint8)
        else:
            raw = np.asarray(values).astype(dtype).reshape(-1).view(np.uint8)
        self.memory[address : address + raw.size] = raw

    def get(self, address: int, count: int, dtype="<i4") -> list[int]:
        """Read values."""
        size = np.dtype(dtype).itemsize
        return self.memory[address : address + size * count].view(dtype).tolist()

    def run(self, *slots: bytes, **registers: int):
        """Run slots as a program; returns what the device says."""
        header = isa.pack(
            isa.HEADER,
            magic=isa.MAGIC,
            slots=len(slots),
            reserved=0,
            fingerprint=int(fingerprint(self.params), 16),
        )
        self.put(0, header + b"".join(slots))
        return self.device.execute(
            self.memory,
            0,
            self.params,
            Registers(**registers),
            lambda position, token: self.tokens.append((position, token)),
        )
