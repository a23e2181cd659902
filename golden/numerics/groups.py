"""Weights on a grid with scales of their own for every group of channels (numerics, section 4)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golden.numerics.fixed import first_index, largest_magnitude, round_half_away
from golden.numerics.weights import power_of_two, round_scale, split_scale
from hw.contract.params import LARGEST_ZERO, SCALE_WIDTHS, SUM_WIDTH

__all__ = [
    "OFFSETS",
    "SCALE_BITS",
    "GridRows",
    "GroupedWeight",
    "Groups",
    "group_rows",
    "held_shift",
]

SCALE_BITS = SCALE_WIDTHS[::-1]
"""Bits of a group's d, and of its z or m."""

OFFSETS = ("none", "z", "m")
"""What a group may have beside its scale d."""

_EXPONENTS = -7, 56  # of a row's power of two: its mantissa of 2^15 makes 8 to 71 of them
_LARGEST_SUM = (1 << SUM_WIDTH - 1) // (128 << 6)  # of integers: spikes are at most 127 * 2^6
_TRIED = 64  # scales of a row in the compact form
_WIDEST = 1.25  # the largest of them over the smallest that all integers fit


@dataclass(frozen=True, kw_only=True)
class Groups:
    """How the groups of a matrix are held.

    Attributes
    ----------
    size : int
        Input channels of a group: 16, 32, 64 or 128.
    width : int
        Bits of its d, and of its z or m: 16 or 8.
    offsets : str
        What it has beside d: ``none``, ``z`` or ``m``.
    offset_shift : int
        c: m weighs 2^c.
    """

    size: int
    width: int
    offsets: str
    offset_shift: int = 0

    @property
    def bits(self) -> int:
        """Bits of a group's scales for one output."""
        return self.width * (1 if self.offsets == "none" else 2)


@dataclass(frozen=True)
class GridRows:
    """Rows of a matrix on the grid of its file: ``w = d * (codes + z) + m``, in real numbers.

    Attributes
    ----------
    codes : Tensor
        int8, (N, K).
    d : Tensor
        float64, (N, K / group).
    z : Tensor or None
        Integers as float64, (N, K / group).
    m : Tensor or None
        float64, (N, K / group); a grid has z or m or neither.
    group : int
        Input channels of a group.
    bits : int
        Bits that hold a code: 8, 4 or 2.
    offset_shift : int
        c of their 16-bit form: of m, 3 for 4-bit codes, 4 for wider ones.
    """

    codes: Tensor
    d: Tensor
    z: Tensor | None
    m: Tensor | None
    group: int
    bits: int
    offset_shift: int = 0

    def weights(self) -> Tensor:
        """Return the real weights, float64, (N, K)."""
        codes = self.codes.double()
        if self.z is not None:
            codes = codes + _spread(self.z, self.group)
        w = _spread(self.d, self.group) * codes
        return w if self.m is None else w + _spread(self.m, self.group)


@dataclass(frozen=True)
class GroupedWeight:
    """A matrix of N outputs and K inputs: w is ``integers() * mantissa * 2^-exponent``.

    Attributes
    ----------
    codes : Tensor
        int8, (N, K).
    d : Tensor
        int32, (N, K / group): 0 to 2^scale_bits - 1, with a sign where there is neither z nor m.
    z, m : Tensor or None
        int32, (N, K / group), signed, of scale_bits.
    mantissa, exponent : Tensor
        int32, (N,), 2^15 to 2^16 - 1 and 8 to 71.
    bits : int
        Bits of a code: 8, 4 or 2.
    group : int
        Input channels of a group.
    scale_bits : int
        16 or 8.
    offset_shift : int
        c: m weighs 2^c.
    """

    codes: Tensor
    d: Tensor
    z: Tensor | None
    m: Tensor | None
    mantissa: Tensor
    exponent: Tensor
    bits: int
    group: int
    scale_bits: int
    offset_shift: int = 0

    def rows(self, start: int, stop: int) -> "GroupedWeight":
        """Return output channels `start` up to, not including, `stop`."""
        part = slice(start, stop)
        return replace(
            self,
            codes=self.codes[part],
            d=self.d[part],
            z=None if self.z is None else self.z[part],
            m=None if self.m is None else self.m[part],
            mantissa=self.mantissa[part],
            exponent=self.exponent[part],
        )

    @property
    def groups(self) -> Groups:
        """How its groups are held."""
        offsets = "z" if self.z is not None else "m" if self.m is not None else "none"
        return Groups(
            size=self.group,
            width=self.scale_bits,
            offsets=offsets,
            offset_shift=self.offset_shift,
        )

    def integers(self) -> Tensor:
        """Return ``d * (code + z) + m * 2^c`` for each weight, int64, (N, K)."""
        codes = self.codes.long()
        if self.z is not None:
            codes = codes + _spread(self.z.long(), self.group)
        w = _spread(self.d.long(), self.group) * codes
        return w if self.m is None else w + _spread(self.m.long() << self.offset_shift, self.group)

    def weights(self) -> Tensor:
        """Return the real weights that the integers stand for: float64, (N, K), exact."""
        scale = self.mantissa * power_of_two(-self.exponent)
        return self.integers() * scale[:, None]


def group_rows(grid: GridRows, scale_bits: int = 16, first_channel: int = 0) -> GroupedWeight:
    """Take rows of a file's grid as integers: exact where 16 bits hold them.

    Parameters
    ----------
    grid : GridRows
        What the file says.
    scale_bits : int
        16, or 8 for the compact form.
    first_channel : int
        Number of the first output channel: for messages.

    Raises
    ------
    ValueError
        For a scale that is not finite, or one of 2^23 or more (naming its output channel).
    """
    if scale_bits not in SCALE_BITS:
        raise ValueError(f"scale_bits must be 16 or 8, not {scale_bits!r}")
    for name, values in (("scale", grid.d), ("zero", grid.z), ("offset", grid.m)):
        if values is not None and not values.isfinite().all():
            row, group = first_index(~values.isfinite())
            raise ValueError(
                f"a group's {name} must be finite, not {values[row, group].item()} in output "
                f"channel {first_channel + row}, group {group}"
            )
    codes, d, z, m = _without_signs(grid)
    d_limit, m_limit = _limits(scale_bits, z is not None or m is not None)
    z_limit = min(m_limit, LARGEST_ZERO)
    if z is not None and largest_magnitude(z.long()) > z_limit:
        raise ValueError(
            f"a group's zero must be at most {z_limit} with scales of {scale_bits} bits, not "
            f"{z.abs().max():g}"
        )
    offset_shift = held_shift(grid.offset_shift, scale_bits)
    coarse = 1 << offset_shift
    if scale_bits == 16:
        unit = _exact_unit(d, m, coarse, d_limit, m_limit, first_channel)
        mantissa = torch.full(unit.shape, 1 << 15, dtype=torch.int32)
        exponent = (unit + 15).to(torch.int32)
        scale = power_of_two(-unit)
    else:
        scale = _best_unit(codes, d, m, grid, coarse, d_limit, m_limit)
        mantissa, exponent = split_scale(scale)
    divisor = torch.where(scale > 0, scale, 1)[:, None]
    weight = GroupedWeight(
        codes=codes,
        d=_rounded(d / divisor, d_limit),
        z=None if z is None else z.to(torch.int32),
        m=None if m is None else _rounded(m / (divisor * coarse), m_limit),
        mantissa=mantissa,
        exponent=exponent,
        bits=grid.bits,
        group=grid.group,
        scale_bits=scale_bits,
        offset_shift=offset_shift,
    )
    _require_sums(weight, first_channel)
    return weight


def _require_sums(weight: GroupedWeight, first_channel: int) -> None:
    """Refuse rows whose sums over groups could reach 2^47, whatever fires."""
    codes = weight.codes.short().unflatten(1, (-1, weight.group))
    if weight.z is not None:
        codes = codes + weight.z[:, :, None].short()
    most = (codes.abs().sum(dim=2) * weight.d.long().abs()).sum(dim=1)  # (N,)
    if weight.m is not None:
        m = weight.m.long().abs().sum(dim=1) << weight.offset_shift
        most = most + weight.group * m
    beyond = most >= _LARGEST_SUM
    if beyond.any():
        raise ValueError(
            f"weights must add up to less than 2^34 in their integers, not {int(most.max())} in "
            f"output channel {first_channel + first_index(beyond)[0]}: choose scale_bits = 8"
        )


def held_shift(offset_shift: int, scale_bits: int) -> int:
    """Return c of the 16-bit form, or of the compact form, which is finer there."""
    return offset_shift if scale_bits == 16 else max(0, offset_shift - 1)


def _spread(values: Tensor, group: int) -> Tensor:
    """Return values of groups for each of their channels."""
    return values.repeat_interleave(group, dim=1)


def _limits(scale_bits: int, has_offset: bool) -> tuple[int, int]:
    """Return the largest d, and the largest z or m."""
    signed = (1 << scale_bits - 1) - 1
    return ((1 << scale_bits) - 1 if has_offset else signed), signed


def _without_signs(grid: GridRows) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return codes, d, z, m of the same weights with no d below 0, if there is z or m.

    d * code = |d| * ((-1 - code) + 1), and -1 - code is a code of as many bits.
    """
    codes, d, z, m = grid.codes, grid.d, grid.z, grid.m
    negative = d < 0
    if (z is None and m is None) or not negative.any():
        return codes, d, z, m
    codes = torch.where(_spread(negative, grid.group), -1 - codes, codes)
    d = d.abs()
    if z is not None:
        return codes, d, torch.where(negative, 1 - z, z), None
    assert m is not None
    return codes, d, None, torch.where(negative, m + d, m)


def _exact_unit(
    d: Tensor, m: Tensor | None, coarse: int, d_limit: int, m_limit: int, first_channel: int
) -> Tensor:
    """Return u of each row, int64, (N,): all are integers times 2^-u, or rounded to that."""
    exact, fits = _lowest_bit(d), _fitting(d, d_limit)
    if m is not None:
        m = m / coarse
        exact, fits = (
            torch.maximum(exact, _lowest_bit(m)),
            torch.minimum(fits, _fitting(m, m_limit)),
        )
    unit = torch.minimum(exact, fits)
    if (unit < _EXPONENTS[0]).any() and (fits < _EXPONENTS[0]).any():
        row = first_index(fits < _EXPONENTS[0])[0]
        raise ValueError(
            f"a group's scale must be below 2^23, not {d[row].abs().max():g} in output channel "
            f"{first_channel + row}"
        )
    return unit.clamp(*_EXPONENTS)


def _lowest_bit(values: Tensor) -> Tensor:
    """Return the least u of each row for which all are integers times 2^-u; 0 for zeros."""
    fraction, exponent = torch.frexp(values)
    digits = (fraction * (1 << 53)).long()  # exact
    lowest = torch.frexp((digits & -digits).double())[1] - 1  # trailing zeros
    places = torch.where(values != 0, 53 - exponent - lowest, -(1 << 20))
    most = places.amax(dim=1).long()
    return torch.where(most == -(1 << 20), 0, most)


def _fitting(values: Tensor, limit: int) -> Tensor:
    """Return the largest u of each row for which values / 2^-u round to at most the limit."""
    peak = values.abs().amax(dim=1)
    exponent = torch.frexp(peak)[1].long()  # peak < 2^exponent
    u = limit.bit_length() - exponent
    over = round_half_away(peak * power_of_two(u.clamp(-1000, 1000))) > limit
    return torch.where(peak > 0, u - over.long(), 1 << 20)


def _best_unit(
    codes: Tensor,
    d: Tensor,
    m: Tensor | None,
    grid: GridRows,
    coarse: int,
    d_limit: int,
    m_limit: int,
) -> Tensor:
    """Return the scale of each row, float64, that costs its weights the least squared error."""
    least = d.abs().amax(dim=1) / d_limit
    if m is not None:
        least = torch.maximum(least, m.abs().amax(dim=1) / (m_limit * coarse))
    by_group = codes.double().unflatten(1, (-1, grid.group))
    if grid.z is not None:
        by_group = by_group + grid.z[:, :, None]
    squares, sums = by_group.square().sum(dim=2), by_group.sum(dim=2)  # (N, G)
    best, cost = torch.zeros_like(least), torch.full_like(least, torch.inf)
    for index in range(_TRIED):
        scale = round_scale(least * (1 + (_WIDEST - 1) * index / (_TRIED - 1)))
        divisor = torch.where(scale > 0, scale, 1)[:, None]
        wrong_d = _rounded(d / divisor, d_limit) * divisor - d
        error = wrong_d.square() * squares
        if m is not None:
            wrong_m = _rounded(m / (divisor * coarse), m_limit) * divisor * coarse - m
            error = error + 2 * wrong_d * wrong_m * sums + wrong_m.square() * grid.group
        total = error.sum(dim=1)
        better = total < cost
        best, cost = torch.where(better, scale, best), torch.where(better, total, cost)
    return best


def _rounded(values: Tensor, limit: int) -> Tensor:
    return round_half_away(values).clamp(-limit, limit).to(torch.int32)
