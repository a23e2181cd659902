"""A compiled directory, read back: verified, laid out in memory, or printed for people."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler import manifest as manifests
from compiler.checksums import chunks
from compiler.damage import where
from compiler.directory import device_name, require_own
from compiler.parallel import cores
from compiler.place import Region
from hw import isa
from hw.fingerprint import fingerprint
from hw.params import HwParams

__all__ = ["Compiled", "Segment", "load"]

_ADDRESS_WIDTH = isa.INSTRUCTIONS[isa.Opcode.MATMUL]["destination"].width
_ENUMS = {
    "rule": isa.Rule,
    "coding": isa.Coding,
    "operation": isa.VectorOp,
    "cache": isa.Cache,
}


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
class Compiled:
    """A compiled model, checked against its checksums.

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
    tokens : int
        Rows of every vector region.
    memory_bytes : int
        First address beyond the last region.
    regions : dict of str to Region
        By name, in the order of their addresses.
    """

    directory: Path
    manifest: dict
    params: HwParams
    fingerprint: str
    tokens: int
    memory_bytes: int
    regions: dict[str, Region]

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

    @property
    def image_bytes(self) -> int:
        """Bytes that the host loads: all regions with contents."""
        return sum(region.bytes for name, region in self.regions.items() if self._contents(name))

    @property
    def weight_bytes(self) -> int:
        """Bytes of the matrices' weights."""
        return sum(region.bytes for region in self._of_kind("weights").values())

    def part(self, name: str) -> range:
        """Return what of a vector (or of ``kv_heads``) one of several devices has or makes."""
        first, count = self.manifest["shard"][name]
        return range(first, first + count)

    @property
    def context(self) -> int:
        """Positions of a whole model."""
        return self.manifest["context"]

    @property
    def program_address(self) -> int:
        """Byte address of the program's header."""
        return self.regions["program"].address

    @property
    def inputs(self) -> dict[str, Region]:
        """Regions that the host fills before the start."""
        return self._of_kind("input")

    @property
    def outputs(self) -> dict[str, Region]:
        """Regions that the program fills."""
        return self._of_kind("output")

    def _of_kind(self, kind: str) -> dict[str, Region]:
        return {name: region for name, region in self.regions.items() if region.kind == kind}

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
        if wrong := sorted(inputs.keys() ^ self.inputs.keys()):
            names = ", ".join(self.inputs)
            raise ValueError(f"inputs must be {names}: {wrong[0]} is missing or unknown")
        memory = np.zeros(self.memory_bytes, np.uint8)
        for name in self.regions:
            if contents := self._contents(name):
                region = self.regions[name]
                path = self.directory / contents["file"]
                memory[region.address : region.address + region.bytes] = np.fromfile(
                    path, np.uint8, region.bytes, offset=contents["offset"]
                )
        for name, vectors in inputs.items():
            self._rows(memory, name)[:] = self._checked(name, vectors)
        return memory

    def read(self, memory: np.ndarray, name: str) -> np.ndarray:
        """Return a copy of the vectors of a region of `memory`: int32, (tokens, channels)."""
        return self._rows(memory, name).astype(np.int32)

    def token_words(self, memory: np.ndarray) -> np.ndarray:
        """View the tokens in a whole model's `memory` by position, (context + 1,) in uint32."""
        region = self.regions["tokens"]
        raw = memory[region.address : region.address + region.bytes]
        return raw.view("<u4")[: self.context + 1]

    def _rows(self, memory: np.ndarray, name: str) -> np.ndarray:
        """View the vectors of a region, without their padding."""
        region = self.regions[name]
        raw = memory[region.address : region.address + region.bytes]
        return raw.view("<i4").reshape(self.tokens, -1)[:, : region.channels]

    def _checked(self, name: str, vectors: np.ndarray) -> np.ndarray:
        shape = (self.tokens, self.regions[name].channels)
        vectors = np.asarray(vectors)
        if vectors.shape != shape or vectors.dtype != np.int32:
            raise ValueError(
                f"input {name} must be int32 of shape {shape}, not {vectors.dtype} of shape "
                f"{vectors.shape}"
            )
        return vectors

    def _contents(self, name: str) -> dict | None:
        entry = self.manifest["regions"][name]
        return entry if "file" in entry else None

    def place_of(self, address: int) -> str:
        """Return an address as a region's name, with an offset unless it is the region's start."""
        for region in self.regions.values():
            if 0 <= (offset := address - region.address) < region.bytes:
                return f"{region.name}+{offset:#x}" if offset else region.name
        return f"{address:#x}"

    def instructions(self) -> list[tuple[isa.Opcode, dict[str, int]]]:
        """Return the program's instructions, decoded."""
        raw = (self.directory / self._contents("program")["file"]).read_bytes()
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

    def listing(self) -> str:
        """Return the program for people: a line an instruction, addresses as regions."""
        lines = [f"# {self.directory.name}: {', '.join(self.manifest['layers'])}"]
        for index, (opcode, fields) in enumerate(self.instructions()):
            lines.append(f"{index:4} {self.shown(opcode, fields)}")
        return "\n".join(lines)

    def shown(self, opcode: isa.Opcode, fields: Mapping[str, int]) -> str:
        """Return one instruction for people, as in the listing."""
        shown = []
        for name, value in fields.items():
            if name in isa.MODIFIERS:
                shown += [name] * value
            elif isa.INSTRUCTIONS[opcode][name].width == _ADDRESS_WIDTH:
                shown.append(f"{name}={self.place_of(value)}")
            elif name in _ENUMS:
                shown.append(f"{name}={_ENUMS[name](value).name.lower()}")
            else:
                shown.append(f"{name}={value}")
        return f"{opcode.name:7} {' '.join(shown)}".rstrip()


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
        _verify_regions(compiled)
        _verify_lengths(compiled)
    return compiled


def _verify_regions(compiled: Compiled) -> None:
    """Hold every region with contents against its checksum; the first damage is told."""
    matrices = {
        step["weights"]: step for step in compiled.manifest["operations"] if "matrix" in step
    }

    def check(name: str) -> str | None:
        region, contents = compiled.regions[name], compiled._contents(name)
        return contents and _damage(compiled, region, contents, matrices.get(name))

    with ThreadPoolExecutor(max_workers=cores()) as pool:
        for sentence in pool.map(check, compiled.regions):
            if sentence:
                pool.shutdown(cancel_futures=True)
                raise ValueError(sentence)


def _verify_lengths(compiled: Compiled) -> None:
    ends: dict[str, int] = {}
    for name, region in compiled.regions.items():
        if contents := compiled._contents(name):
            end = contents["offset"] + region.bytes
            ends[contents["file"]] = max(end, ends.get(contents["file"], 0))
    for file, end in ends.items():
        path = compiled.directory / file
        if extra := path.stat().st_size - end:
            raise ValueError(
                f"{path} goes on {extra:,} bytes after its last region: build the model again"
            )


def _damage(
    compiled: Compiled, region: Region, contents: dict, operation: dict | None
) -> str | None:
    """Return a sentence on what is wrong with a region's contents, if anything is."""
    path = compiled.directory / contents["file"]
    digest, left = hashlib.sha256(), region.bytes
    try:
        require_own(path)
        for chunk in chunks(path, contents["offset"], region.bytes):
            digest.update(chunk)
            left -= len(chunk)
    except FileNotFoundError:
        return f"{path} is missing: build the model again"
    if left:
        return f"{path} ends {left:,} bytes before region {region.name} does: build the model again"
    if digest.hexdigest() != contents["sha256"]:
        place = where(path, region, contents, operation, compiled.params)
        return f"{path} is damaged in region {region.name} ({place}): build the model again"
    return None
