"""Which of a tensor's channels stands at each place of a row, as the program has it in memory."""

import numpy as np

from compiler.artifact.program import Compiled
from compiler.passes.order import ChannelOrder
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.rope import pair_order

__all__ = ["TensorOrder", "kind_of"]

_IN_PAIRS = ("q", "k", "q_norm", "k_norm", "q_rotated", "k_rotated", "query.counts", "key")
_INPUTS = {  # of a matrix
    "embed": "q", "attn_norm": "q", "attn_residual": "q", "ffn_norm": "q", "residual": "q",
    "final_norm": "q", "qkv.counts": "q", "gate_up.counts": "q", "head.counts": "q",
    "act": "down", "down.counts": "down", "attention": "o", "o.counts": "o",
}  # fmt: skip
_OUTPUTS = {"o": "o", "down": "down", "gate": "gate", "up": "up", "v": "v", "value": "v"}


def kind_of(tensor: str) -> str:
    """Return a tensor's name without its layer."""
    return tensor.split(".", 2)[2] if tensor.startswith("layers.") else tensor


class TensorOrder:
    """The orders of a compiled model's tensors: of pairs that rotate, and those of a profile."""

    def __init__(self, compiled: Compiled, config: ModelConfig) -> None:
        self._pairs = pair_order(config.head_dim, config.rope_interleaved).numpy()
        self._order: ChannelOrder | None = None
        if schedule := compiled.manifest.get("schedule"):
            self._order = ChannelOrder.from_dict(config, schedule["order"])

    def places(self, tensor: str, channels: int) -> np.ndarray:
        """Return the channel at each place of all its heads together, (channels,)."""
        kind = kind_of(tensor)
        layer = tensor.removesuffix(kind)
        if kind in _IN_PAIRS:
            heads = np.arange(0, channels, self._pairs.size)
            return (heads[:, None] + self._pairs).reshape(-1)
        found = None
        if self._order is not None and kind in _INPUTS:
            found = self._order.inputs(layer + _INPUTS[kind])
        elif self._order is not None and kind in _OUTPUTS:
            found = self._order.outputs(layer + _OUTPUTS[kind])
        return np.arange(channels) if found is None else found
