"""A compiled directory, read back: what it is of, its program, and its memory before the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler.artifact import manifest as manifests
from compiler.artifact.memory_map import MemoryMap
from compiler.artifact.verify import require_intact
from compiler.passes.place import Region
from compiler.passes.program import LOOPED
from compiler.storage.directory import device_name
from hw.contract import isa
from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams

__all__ = ["Compiled", "Segment", "load"]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One of the programs of one of several devices.

    Attributes
    ----------
    name : str
        For people.
    address : int
        Byte address of its header.
    exchange : str
        The region that is exchanged when all devices have ended it.
    """

    name: str
    address: int
    exchange: str


@dataclass(frozen=True, kw_only=True)
class Compiled(MemoryMap):
    """A compiled model, checked against its checksums; it is laid out as its memory map says.

    Attributes
    ----------
    directory : Path
        Where it lies.
    manifest : dict
        As written (docs/compiled.md).
    params : HwParams
        The hardware it is for.
    fingerprint : str
        Of that hardware, in hex.
    """

    directory: Path
    manifest: dict
    params: HwParams
    fingerprint: str

    @property
    def is_model(self) -> bool:
        """Whether it is a whole model, which makes tokens, and not layers, which make vectors."""
        return self.manifest["kind"] == "model"

    @property
    def is_shard(self) -> bool:
        """Whether it is one of several devices' share of a whole model."""
        return self.manifest["kind"] == "shard"

    @property
    def segments(self) -> list[Segment]:
        """The programs of one of several devices, in their order."""
        return [
            Segment(
                name=entry["name"],
                address=self.program_address + entry["offset"],
                exchange=entry["exchange"],
            )
            for entry in self.manifest["segments"]
        ]

    def tensor(self, slot: int, layer: int | None = None) -> tuple[str, int]:
        """Return which tensor a slot writes, as golden calls it, and its row that comes first.

        Of a slot of the loop, `layer` is the layer that it is at.

        Raises
        ------
        ValueError
            Where an earlier version has compiled the directory, without its tensors' names.
        """
        if "tensors" not in self.manifest:
            raise ValueError(
                f"{self.directory} does not name its tensors, as an earlier version compiled it: "
                "build the model again"
            )
        found = self.manifest["tensors"][slot] or {"name": "", "row": 0}
        return found["name"].replace(LOOPED, f"layers.{layer}.", 1), found["row"]

    def part(self, name: str) -> range:
        """Return what of a vector (or of ``kv_heads``) one of several devices has or makes."""
        first, count = self.manifest["shard"][name]
        return range(first, first + count)

    @property
    def context(self) -> int:
        """Positions of a whole model."""
        return self.manifest["context"]

    @property
    def image_bytes(self) -> int:
        """Bytes that the host loads: all regions with contents."""
        return sum(self.regions[name].bytes for name in self.contents)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the matrices' weights."""
        return sum(region.bytes for region in self.of_kind("weights").values())

    @property
    def contents(self) -> dict[str, dict]:
        """Where the contents of regions lie, of those that have any: entries of the manifest."""
        entries = self.manifest["regions"]
        return {name: entries[name] for name in self.regions if "file" in entries[name]}

    def image(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the memory's contents before the start.

        Parameters
        ----------
        inputs : mapping of str to ndarray
            For each input region its vectors, (tokens, channels) in int32 (Q15.16).

        Returns
        -------
        ndarray of uint8
            `memory_bytes` long; what no region fills is zero.

        Raises
        ------
        ValueError
            Where an input is missing, unknown, or not of its region's shape and type, or where
            the directory is a plan, without weights.
        """
        if self.manifest["weights"] == "none":
            raise ValueError(
                f"{self.directory} is a plan without weights: build it with --checkpoint to run it"
            )
        try:
            memory = np.zeros(self.memory_bytes, np.uint8)
        except MemoryError:
            raise ValueError(
                f"{self.directory} needs {self.memory_bytes:,} bytes of memory, more than there is"
            ) from None
        self.fill(memory, inputs)
        for name, entry in self.contents.items():
            path, own = self.directory / entry["file"], self.view(memory, name)
            own[:] = np.fromfile(path, np.uint8, own.size, offset=entry["offset"])
        return memory

    def token_words(self, memory: np.ndarray) -> np.ndarray:
        """View the tokens in a whole model's `memory` by position, (context + 1,) in uint32."""
        return self.view(memory, "tokens").view("<u4")[: self.context + 1]

    def instructions(self) -> list[tuple[isa.Opcode, dict[str, int]]]:
        """Return the program's instructions, decoded."""
        raw = (self.directory / self.contents["program"]["file"]).read_bytes()
        header, found, start = isa.HEADER.size // 8, [], 0
        while start < len(raw):  # a shard has several programs
            slots = isa.unpack(isa.HEADER, raw[start : start + header])["slots"]
            end = start + header + slots * isa.SLOT_BYTES
            found += [
                isa.disassemble(raw[at : at + isa.SLOT_BYTES])
                for at in range(start + header, end, isa.SLOT_BYTES)
            ]
            start = end
        return found


def load(directory: str | Path, params: HwParams | None = None, *, verify: bool = True) -> Compiled:
    """Read a compiled directory and verify all of it.

    Parameters
    ----------
    directory : path
        Written by ``python -m compiler build``.
    params : HwParams, optional
        The hardware at hand; by default the one it was compiled for.
    verify : bool
        Whether to hold the files against their checksums: not where they were written just now.

    Raises
    ------
    ValueError
        In one sentence, where it is no compiled directory, a file is missing, truncated or
        damaged (naming the region and the place), or it is for other hardware (naming both
        fingerprints).
    """
    directory = Path(directory)
    manifest = manifests.read(directory)
    if manifest["kind"] == "devices":
        raise ValueError(
            f"{directory} is compiled for {manifest['devices']} devices: run it with python -m sim "
            f"generate, or name one of them, such as {directory / device_name(0)}"
        )
    compiled = Compiled(
        directory=directory,
        manifest=manifest,
        params=HwParams.from_dict(manifest["params"]),
        fingerprint=manifest["fingerprint"],
        tokens=manifest["tokens"],
        memory_bytes=manifest["memory_bytes"],
        regions={
            name: Region(
                name=name,
                **{field: entry[field] for field in ("kind", "address", "bytes", "channels")},
            )
            for name, entry in manifest["regions"].items()
        },
    )
    device = fingerprint(params or compiled.params)
    if compiled.fingerprint != device:
        raise ValueError(
            f"{directory} is compiled for hardware {compiled.fingerprint}, not for {device}: "
            "build it again for this hardware"
        )
    if verify:
        require_intact(directory, manifest, compiled.regions, compiled.params)
    return compiled
