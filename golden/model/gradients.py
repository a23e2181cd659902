"""What reaches each site of a model in float, and how the loss answers to it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from golden.checkpoint.rope import rope_table
from golden.model.llama import FloatLinear, Model, Span, rms_norm

__all__ = ["Reached", "reached"]

Reached = dict[str, tuple[Tensor, Tensor]]
"""By site: its vectors and the gradient of the summed loss by them, float32, (tokens, channels)."""


class _Recorder(FloatLinear):
    """Matrices in float that keep the vectors of each site, for their gradients."""

    def __init__(self, model: Model) -> None:
        super().__init__(model.config, model.tensor)
        self.vectors: dict[str, Tensor] = {}

    def __call__(self, site: str, name: str, x: Tensor) -> Tensor:
        if site not in self.vectors:
            x.retain_grad()
            self.vectors[site] = x
        return super().__call__(site, name, x)


def reached(model: Model, ids: Sequence[int]) -> Reached:
    """Run a model forwards and back over one window of at least two tokens, in float."""
    config, linear = model.config, model.linear
    recorder = model.linear = _Recorder(model)
    positions = torch.arange(len(ids))
    table = rope_table(positions, config.head_dim, config.rope_theta, config.rope_scaling)
    span = Span(0, *table, None)
    with torch.enable_grad():
        x = model.tensor("embed")[torch.tensor(ids)].requires_grad_()
        for layer in range(config.layers):
            x = model.block(layer, x, span)
        logits = model.matrix("lm_head", rms_norm(x, model.tensor("final_norm"), config.norm_eps))
        cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="sum").backward()
    model.linear = linear
    found = {}
    for site, x in recorder.vectors.items():
        assert x.grad is not None  # all that reaches a site goes on to the loss
        found[site] = x.detach(), x.grad
    return found
