"""Distillation: an adapter that makes a model with dead zones answer as it did without.

The teacher is the checkpoint in float. The student has dead zones and counts of D = 127 before
each matrix, all else in float, and its adapter is what learns: Adam on the divergence of the
student's next-token distributions from the teacher's, a window a step. No label is seen, only what
the teacher makes of the text: so the student can come near it, but is not fitted to the text.

What is learnt, `up` of `golden.recipe.adapter`, is relative to the weights' rows, so that one rate
suits all matrices; signs stay as they are drawn (as in LoRA-FA, arXiv 2308.03303).
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import kl_div
from torch.nn.functional import linear as matmul

from golden.checkpoint.checkpoint import Checkpoint
from golden.checkpoint.names import bias_of, matrices
from golden.model.llama import FloatLinear, Model, Span, rms_norm
from golden.numerics.neuron import MAX_COUNT
from golden.recipe.adapter import signs, units

__all__ = ["distil"]

_RATE = 2e-3  # of Adam, falling to 0 as half a cosine; 8e-3 learns nothing on SmolLM2-135M
_WARMUP = 10  # steps
_BETAS = (0.9, 0.99)


class _Fire(torch.autograd.Function):
    """What a site's counts stand for; the gradient passes where a channel fires."""

    @staticmethod
    def forward(ctx, x: Tensor, dead_zone: float) -> Tensor:
        fires = x.abs() >= dead_zone
        ctx.save_for_backward(fires)
        v = (x.abs().amax(dim=1, keepdim=True) / MAX_COUNT).clamp(min=1e-9)
        return (x / v).round() * v * fires

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, None]:
        (fires,), (grad,) = ctx.saved_tensors, grads
        return grad * fires, None


class _Student(FloatLinear):
    """Matrices behind dead zones, with an adapter that learns."""

    def __init__(self, model: Model, rank: int, before: Mapping[str, Tensor]) -> None:
        super().__init__(model.config, model.tensor)
        self.dead_zones: Mapping[str, float] = {}
        self._latest: tuple[Tensor, Tensor] | None = None  # vectors, and what of them fired
        self.learnt: dict[str, Tensor] = {}  # up, relative
        self._units: dict[str, tuple[Tensor, Tensor]] = {}  # what it is relative to, and down
        self._halves: dict[str, Tensor] = {}  # what does not learn: bfloat16 is fine enough
        for name in matrices(model.config):
            w = model.tensor(name)
            row, column = units(w)
            up = before[name].clone() if name in before else torch.zeros(len(w), rank)
            down = signs(name, up.shape[1], w.shape[1]) * column.float()
            self._units[name] = (row.float() / up.shape[1] ** 0.5)[:, None], down
            self.learnt[name] = up.requires_grad_()
            self._halves[name] = w.bfloat16()

    def __call__(self, site: str, name: str, x: Tensor) -> Tensor:
        if self._latest is None or x is not self._latest[0]:  # a site's matrices share one encoding
            self._latest = x, _Fire.apply(x, self.dead_zones.get(site, 0.0))
        fired = self._latest[1]
        row, down = self._units[name]
        y = matmul(fired.bfloat16(), self._halves[name]).float()
        bias = bias_of(name, self.config)
        y = y if bias is None else y + self.tensor(bias)
        return y + matmul(matmul(fired, down), self.learnt[name] * row)


def distil(
    teacher: Checkpoint,
    student: Checkpoint,
    dead_zones: Sequence[Mapping[str, float]],
    windows: Sequence[Sequence[int]],
    rank: int,
    step: Callable[[float], None] = lambda divergence: None,
    before: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Learn an adapter; memory is some four times that of the model's weights.

    Parameters
    ----------
    teacher : Checkpoint
        The model as it was trained.
    student : Checkpoint
        The same, folded: what the adapter is for.
    dead_zones : sequence of mappings of str to float
        By site, in the units of the student's vectors; the windows take them in turn.
    windows : sequence of windows
        Tokens, a step each, in the order they are learnt from.
    rank : int
        Of the corrections, even.
    step : callable
        Called after each window with its divergence, in nats a token.
    before : mapping of str to Tensor, optional
        What was learnt before, to go on from: `golden.recipe.adapter.Adapter.ups`.

    Returns
    -------
    dict of str to Tensor
        By matrix, float32, (outputs, rank): what `golden.recipe.adapter.pack_adapter` takes.
    """
    knows, learns = Model(teacher), Model(student)
    learns.linear = linear = _Student(learns, rank, before or {})
    optimizer = torch.optim.Adam(linear.learnt.values(), lr=_RATE, betas=_BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: _share(i, len(windows)))
    for i, ids in enumerate(windows):
        linear.dead_zones = dead_zones[i % len(dead_zones)]
        target = knows.forward(ids).log_softmax(dim=1)
        with torch.enable_grad():
            logits = _forward(learns, ids).log_softmax(dim=1)
            loss = kl_div(logits, target, reduction="sum", log_target=True) / len(ids)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        step(float(loss.detach()))
    return {name: up.detach() for name, up in linear.learnt.items()}


def _share(step: int, steps: int) -> float:
    """Return the share of the rate that a step learns by."""
    return min(1, (step + 1) / _WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2


def _forward(model: Model, ids: Sequence[int]) -> Tensor:
    """Return a window's logits, with what their gradients need."""
    span = Span(0, *model.rotations(torch.arange(len(ids))), None)
    x = model.embed(torch.tensor(ids))
    for layer in range(model.config.layers):
        x = model.block(layer, x, span)
    normed = rms_norm(x, model.tensor("final_norm"), model.config.norm_eps)
    return model.matrix("lm_head", normed)
