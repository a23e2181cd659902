"""Exact accumulation of weight codes by spikes (numerics, section 5)."""

import torch
from torch import Tensor

from golden.numerics.codings import step_weights, zero_point
from golden.numerics.fixed import largest_magnitude
from golden.numerics.groups import GroupedWeight

__all__ = ["accumulate", "accumulate_groups", "accumulate_spikes", "grouped_sums"]

_EXACT_FLOAT32 = 1 << 24  # every integer up to here, and no smaller bound, is a float32
_EXACT_FLOAT64 = 1 << 53


def accumulate(counts: Tensor, codes: Tensor) -> Tensor:
    """Multiply spike counts by weight codes, exactly.

    The products are summed in float32, in blocks of input channels so short that neither a sum
    nor any part of it can pass 2^24 in magnitude. All integers up to there are float32 numbers, so
    nothing is ever rounded, whatever the order of the additions, fused or not.

    Parameters
    ----------
    counts : Tensor
        Counts times the weights of their spikes, int8 or int16, (tokens, K).
    codes : Tensor
        int8, (N, K).

    Returns
    -------
    Tensor
        int64, (tokens, N).
    """
    _check_operands(counts, codes, counts.dim() == 2)
    tokens, channels = counts.shape
    largest_product = max(1, largest_magnitude(counts) * largest_magnitude(codes))
    step = (_EXACT_FLOAT32 - 1) // largest_product
    total = torch.zeros(tokens, codes.shape[0], dtype=torch.int64)
    for start in range(0, channels, step):
        part = slice(start, start + step)
        total += (counts[:, part].float() @ codes[:, part].float().T).long()
    return total


def grouped_sums(counts: Tensor, weight: GroupedWeight) -> tuple[Tensor, Tensor]:
    """Return P and S, group by group, as section 5 defines them.

    Parameters
    ----------
    counts : Tensor
        Counts times the weights of their spikes, int8 or int16, (tokens, K).
    weight : GroupedWeight
        (N, K) in groups.

    Returns
    -------
    tuple
        P, int64, (tokens, groups, N); S, int64, (tokens, groups).
    """
    by_group = counts.split(weight.group, dim=1)
    codes = weight.codes.split(weight.group, dim=1)
    p = [accumulate(a.contiguous(), c) for a, c in zip(by_group, codes, strict=True)]
    return torch.stack(p, dim=1), torch.stack([a.long().sum(dim=1) for a in by_group], dim=1)


def accumulate_groups(counts: Tensor, weight: GroupedWeight) -> Tensor:
    """Return Y of a matrix with groups: spike counts times ``weight.integers()``, exactly.

    It is one product in float64, in blocks of input channels so short that no sum passes 2^53. So
    it equals ``sum_g d * (P + z * S) + m * 2^c * S`` of `grouped_sums`.

    Parameters
    ----------
    counts : Tensor
        Counts times the weights of their spikes, int8 or int16, (tokens, K).
    weight : GroupedWeight
        (N, K).

    Returns
    -------
    Tensor
        int64, (tokens, N).
    """
    _check_operands(counts, weight.codes, counts.dim() == 2)
    integers = weight.integers()
    largest_product = max(1, largest_magnitude(counts) * largest_magnitude(integers))
    step = (_EXACT_FLOAT64 - 1) // largest_product
    total = torch.zeros(counts.shape[0], len(integers), dtype=torch.int64)
    for start in range(0, counts.shape[1], step):
        part = slice(start, start + step)
        total += (counts[:, part].double() @ integers[:, part].double().T).long()
    return total


def accumulate_spikes(spikes: Tensor, codes: Tensor, coding: str) -> Tensor:
    """Accumulate spike trains as the array does: time step by time step, by additions alone.

    Parameters
    ----------
    spikes : Tensor
        int8, (T, tokens, K), `golden.numerics.codings.encode`'s result.
    codes : Tensor
        int8, (N, K).
    coding : str
        The coding of `spikes`. For `binary`, the zero point is subtracted once an output channel.

    Returns
    -------
    Tensor
        int64, (tokens, N), equal to `accumulate` of the counts.
    """
    _check_operands(spikes, codes, spikes.dim() == 3)
    columns = codes.long().T  # (K, N)
    time_steps, tokens, _ = spikes.shape
    total = torch.zeros(tokens, codes.shape[0], dtype=torch.int64)
    for weight, step in zip(step_weights(coding, time_steps), spikes, strict=True):
        for token in range(tokens):
            adds, subtracts = step[token] == 1, step[token] == -1  # (K,)
            total[token] += weight * columns[adds].sum(dim=0)  # the weight is a shift
            total[token] -= weight * columns[subtracts].sum(dim=0)
    return total - zero_point(coding, time_steps) * columns.sum(dim=0)


def _check_operands(left: Tensor, codes: Tensor, shaped: bool) -> None:
    if left.dtype not in (torch.int8, torch.int16) or codes.dtype != torch.int8:
        raise ValueError(
            f"counts must be int8 or int16 and codes int8, not {left.dtype} and {codes.dtype}"
        )
    if not shaped or codes.dim() != 2 or left.shape[-1] != codes.shape[1]:
        raise ValueError(
            "counts (tokens, K) and codes (N, K) must have K channels each, not shapes "
            f"{tuple(left.shape)} and {tuple(codes.shape)}"
        )
