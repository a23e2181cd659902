"""The schema of a manifest: a checksum that fits says only that it was written so."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from compiler.artifact.refusal import sentence
from compiler.passes.coding import coding_names
from compiler.passes.program import LOOPED
from compiler.storage.checksums import BLOCK_BYTES
from compiler.storage.directory import is_contents
from golden.checkpoint.config import ModelConfig
from golden.recipe.settings import SiteSettings
from hw.contract import isa

__all__ = ["contradiction"]

_TOKEN_BYTES = 4
_HEX_DIGITS = frozenset("0123456789abcdef")
_HEADER_BYTES = isa.HEADER.size // 8


def _file(name: str) -> str:
    if not is_contents(name):
        raise ValueError
    return name


def _coding(name: str) -> str:
    if name not in coding_names():
        raise ValueError
    return name


def _given(value: object) -> object:
    """Refuse null in place of what may be left out."""
    if value is None:
        raise ValueError
    return value


_EXACT = 1 << 53  # what every reader of JSON takes exactly, and more than any memory has
_ENCODE, _MATMUL = isa.INSTRUCTIONS[isa.Opcode.ENCODE], isa.INSTRUCTIONS[isa.Opcode.MATMUL]


def _below(width: int, least: int = 0) -> FieldInfo:
    """Return the range of an instruction's field of `width` bits."""
    return Field(ge=least, lt=1 << width)


Count = Annotated[int, Field(ge=0, lt=_EXACT)]
_GIVEN = BeforeValidator(_given)
Length = Annotated[int, Field(ge=1, lt=_EXACT)]
Channels = Annotated[int, _below(_ENCODE["channels"].width, 1)]
Outputs = Annotated[int, _below(_MATMUL["outputs"].width, 1)]
Name = Annotated[str, StringConstraints(pattern=r"^[\w.*]+$")]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
CodingName = Annotated[str, AfterValidator(_coding)]
Run = Annotated[list[Count], Field(min_length=2, max_length=2)]
"""The first of a run of elements, and how many there are."""


class _Entries(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Packed(_Entries):
    npz: str


class _Recipe(_Entries):
    name: str
    fold: str | _Packed | None = None  # this and the next two: not in manifests of before
    adapter: _Packed | None = None
    exponents: _Packed | None = None
    default: SiteSettings
    sites: dict[str, SiteSettings]
    layer_sites: dict[
        Annotated[str, StringConstraints(pattern=r"^layers\.\d{1,4}\.\w+$")], SiteSettings
    ]


class _Region(_Entries):
    name: str
    kind: Literal[
        "program", "weights", "channel_words", "input", "output",
        "records", "tokens", "constants", "vectors", "cache",
    ]  # fmt: skip
    address: Count
    bytes: Count
    channels: Count
    file: Annotated[Annotated[str, AfterValidator(_file)] | None, _GIVEN] = None
    offset: Annotated[Count | None, _GIVEN] = None
    sha256: Annotated[Digest | None, _GIVEN] = None
    crc32: Annotated[str | None, _GIVEN] = None

    @model_validator(mode="after")
    def _whole_contents(self) -> Self:
        if self.file is None:
            return self
        if self.offset is None or self.sha256 is None or self.crc32 is None:
            names = ("offset", "sha256", "crc32")
            raise ValueError(f"{next(n for n in names if getattr(self, n) is None)} is missing")
        return self


class _Step(_Entries):
    site: str
    channels: Channels
    tensor: Annotated[Name | None, _GIVEN] = None  # not in manifests of before
    instructions: Annotated[list[Count], Field(min_length=1)]


class _Encode(_Step):
    operation: Literal["ENCODE"]
    rule: Literal["absmax", "mean", "static"]
    max_count: Annotated[int, _below(_ENCODE["max_count"].width)]
    multiplier: Annotated[int, _below(_ENCODE["multiplier"].width)]
    divisor: Annotated[int, _below(_ENCODE["divisor"].width)]
    peak: Annotated[int, _below(_ENCODE["peak"].width)]
    dead_zone: Annotated[int, _below(_ENCODE["dead_zone"].width)]
    shifts: Annotated[int, _below(_ENCODE["shifts"].width)] = 0  # not in manifests of before
    exponents: str | None = None  # nor this
    input: str


class _Groups(_Entries):
    size: Literal[16, 32, 64, 128]
    width: Literal[8, 16]
    offsets: Literal["none", "z", "m"]
    offset_shift: Annotated[int, _below(_MATMUL["offset_shift"].width)]


class _Matmul(_Step):
    operation: Literal["MATMUL"]
    matrix: str
    outputs: Outputs
    first_row: Count
    weight_width: Literal[2, 4, 8]
    has_bias: bool
    groups: _Groups | None = None  # not in manifests of before
    tiles: Length
    weight_bytes: Count
    dense_cycles: Count
    weights: str
    channel_words: str
    output: str


_Operation = Annotated[_Encode | _Matmul, Field(discriminator="operation")]


class _Tensor(_Entries):
    name: Name
    row: Count


class _Schedule(_Entries):
    profile: str
    tile: str
    batch: str
    coding: CodingName
    codings: dict[str, CodingName]
    position: Count
    latency: Count
    predicted_cycles: dict[str, Count]
    words_a_cycle: float = 1.0  # not in manifests of before

    @model_validator(mode="before")
    @classmethod
    def _no_order(cls, entries: object) -> object:
        if isinstance(entries, Mapping) and "order" in entries:
            raise ValueError("order is of an earlier version, which ordered channels")
        return entries


class _Whole(_Entries):
    """What every manifest says."""

    model: ModelConfig
    weights: Literal["real", "synthetic", "none"]
    layers: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(min_length=1)]
    recipe: _Recipe
    coding: CodingName
    params: dict[str, object]
    fingerprint: Digest


class _Layers(_Whole):
    """What one device's memory holds."""

    tokens: Length
    memory_bytes: Count
    regions: dict[str, _Region]
    operations: list[_Operation]
    tensors: Annotated[list[_Tensor | None] | None, _GIVEN] = None  # not in manifests of before
    schedule: Annotated[_Schedule | None, _GIVEN] = None

    @property
    def programs(self) -> int:
        """How many programs there are, each with a header."""
        return 1

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        _require_regions(self.regions, self.memory_bytes)
        encoded = None
        for number, step in enumerate(self.operations):
            if isinstance(step, _Encode):
                names = [step.input] + [step.exponents] * (step.exponents is not None)
                encoded = step.site
            else:
                names = [step.weights, step.channel_words, step.output]
                if step.site != encoded:
                    raise ValueError(
                        f"operation {number}: the MATMUL of {step.matrix} must follow the ENCODE "
                        f"of {step.site}"
                    )
            if strange := next((name for name in names if name not in self.regions), None):
                raise ValueError(f"operation {number}: there is no region {strange!r}")
        length = self.regions["program"].bytes - self.programs * _HEADER_BYTES
        slots, tensors = length // isa.SLOT_BYTES, self.tensors
        if tensors is not None and len(tensors) * isa.SLOT_BYTES != length:
            raise ValueError("tensors must have an entry for each slot of the program")
        rows = max(self.tokens, self.model.heads)
        for slot, tensor in enumerate(tensors or ()):
            if tensor is not None and tensor.row >= rows:
                raise ValueError(f"tensor {slot}: row must be below {rows}, not {tensor.row}")
        for number, step in enumerate(self.operations):
            for slot in step.instructions:
                if slot >= slots:
                    raise ValueError(
                        f"operation {number}: its instructions must be below {slots}, not {slot}"
                    )
                if step.tensor and tensors is not None:
                    _require_tensor(slot, tensors[slot], step.tensor)
        return self


class _Model(_Layers):
    context: Count

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        tokens = self.regions.get("tokens")
        if tokens is None or tokens.bytes < _TOKEN_BYTES * (self.context + 1):
            raise ValueError(
                f"its regions have no room for the tokens of {self.context:,} positions"
            )
        return self


class _Share(_Entries):
    """What of a model one of several devices has."""

    device: Count
    devices: Count
    kv_heads: Run
    x: Run
    attention: Run
    between: Run
    act: Run
    logits: Run

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.device >= self.devices:
            raise ValueError(f"device must be below {self.devices}, not {self.device}")
        return self


class _Segment(_Entries):
    name: str
    offset: Count
    exchange: Literal["x", "attention", "between", "act", "tokens"]


class _Shard(_Model):
    shard: _Share
    segments: Annotated[list[_Segment], Field(min_length=1)]

    @property
    def programs(self) -> int:
        """How many programs there are, each with a header."""
        return len(self.segments)

    @model_validator(mode="after")
    def _lies_within(self) -> Self:
        for name in ("x", "attention", "between", "act", "logits"):
            first, count = getattr(self.shard, name)
            end = count if name == "logits" else first + count  # a device has its own logits only
            if name not in self.regions or end > self.regions[name].channels:
                raise ValueError(f"shard: {name} must lie within the region {name}")
        for segment in self.segments:
            if segment.offset + _HEADER_BYTES > self.regions["program"].bytes:
                raise ValueError(f"segments: {segment.name} must begin within the program")
        return self


class _Devices(_Whole):
    context: Count
    devices: Count
    shards: list[Digest]

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if not self.devices or self.devices != len(self.shards):
            raise ValueError(
                f"shards must be of {max(1, self.devices):,} devices, not of {len(self.shards):,}"
            )
        return self


_KINDS: dict[str, type[_Whole]] = {
    "layers": _Layers,
    "model": _Model,
    "shard": _Shard,
    "devices": _Devices,
}


def contradiction(manifest: Mapping[str, object]) -> str | None:
    """Return what cannot be in a manifest of this format, in words; None where all of it can."""
    kind = manifest.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        return f"kind must be one of {', '.join(_KINDS)}, not {kind!r}"
    try:
        text = json.dumps(manifest, allow_nan=False)
    except ValueError:
        return "one of its numbers is not finite"
    try:
        # As JSON, for a list there stands for a tuple, and an object for a data class.
        _KINDS[kind].model_validate_json(text)
    except ValidationError as error:
        return sentence(manifest, error)
    return None


def _require_regions(regions: Mapping[str, _Region], memory_bytes: int) -> None:
    """Raise ValueError where regions do not fit the memory, or each other, or lack a program."""
    end, last = 0, ""
    for name, region in sorted(regions.items(), key=lambda item: item[1].address):
        if region.name != name:
            raise ValueError(f"region {name}: its name cannot be {region.name!r}")
        if region.address + region.bytes > memory_bytes:
            raise ValueError(f"region {name}: it must end by byte {memory_bytes:,} of the memory")
        if region.address < end:
            raise ValueError(f"region {name}: it must not begin within {last}")
        digits = 8 * -(-region.bytes // BLOCK_BYTES)
        crc32 = region.crc32 or ""
        if region.file and not (len(crc32) == digits and _HEX_DIGITS.issuperset(crc32)):
            raise ValueError(f"region {name}: crc32 must have {digits} hexadecimal digits")
        end, last = region.address + region.bytes, name
    if "program" not in regions or regions["program"].file is None:
        raise ValueError("it has no program")


def _require_tensor(slot: int, written: _Tensor | None, tensor: str) -> None:
    """Raise ValueError where a slot does not write what the operation of it says."""
    name = "" if written is None else written.name
    looped = name.startswith(LOOPED) and tensor.startswith("layers.")
    if (tensor.split(".", 2)[2] if looped else tensor) != name.removeprefix(LOOPED):
        raise ValueError(f"tensor {slot}: name must be {tensor!r}, as its operation says")
