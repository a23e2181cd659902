"""The models known by name: their shapes, where these are published, what they are built for."""

from dataclasses import dataclass

from golden.checkpoint import fetch
from golden.checkpoint.config import ModelConfig

__all__ = ["KNOWN_MODELS", "KnownModel", "has_weights", "require_same_shapes"]


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A model known by name.

    Attributes
    ----------
    config : ModelConfig
        Its shapes.
    source : str
        Where they are published.
    preset : str
        The hardware it is built for unless another is asked for.
    """

    config: ModelConfig
    source: str
    preset: str = "edge"


_SHAPES = (
    "vocab_size",
    "hidden_size",
    "ffn_size",
    "layers",
    "heads",
    "kv_heads",
    "head_dim",
    "tied_head",
    "qkv_bias",
    "qk_norm",
)  # what tensors there are, and how large

_ALL = (
    KnownModel(
        config=ModelConfig(
            name="smollm2-135m",
            vocab_size=49152,
            hidden_size=576,
            ffn_size=1536,
            layers=30,
            heads=9,
            kv_heads=3,
            head_dim=64,
            max_positions=8192,
            norm_eps=1e-5,
            rope_theta=1e5,
            rope_interleaved=True,
            tied_head=True,
        ),
        source="HuggingFaceTB/SmolLM2-135M-Instruct, as GGUF",
    ),
    KnownModel(
        config=ModelConfig(
            name="stories260k",
            vocab_size=512,
            hidden_size=64,
            ffn_size=172,
            layers=5,
            heads=8,
            kv_heads=4,
            head_dim=8,
            max_positions=512,
            norm_eps=1e-5,
            rope_theta=1e4,
            rope_interleaved=True,
            tied_head=True,
        ),
        source="karpathy/tinyllamas, stories260K.bin",
    ),
    KnownModel(
        config=ModelConfig(
            name="sdllm-7b",
            vocab_size=32000,
            hidden_size=4096,
            ffn_size=11008,
            layers=32,
            heads=32,
            kv_heads=32,
            head_dim=128,
            max_positions=4096,
            norm_eps=1e-5,
            rope_theta=1e4,
            rope_interleaved=False,
        ),
        source="LLaMA-2 7B (arXiv 2307.09288), meta-llama/Llama-2-7b-hf, config.json",
        preset="datacenter",
    ),
    KnownModel(
        config=ModelConfig(
            name="sdllm-13b",
            vocab_size=32000,
            hidden_size=5120,
            ffn_size=13824,
            layers=40,
            heads=40,
            kv_heads=40,
            head_dim=128,
            max_positions=4096,
            norm_eps=1e-5,
            rope_theta=1e4,
            rope_interleaved=False,
        ),
        source="LLaMA-2 13B (arXiv 2307.09288), meta-llama/Llama-2-13b-hf, config.json",
        preset="datacenter",
    ),
    KnownModel(
        config=ModelConfig(
            name="sdllm-8b",
            vocab_size=128256,
            hidden_size=4096,
            ffn_size=14336,
            layers=32,
            heads=32,
            kv_heads=8,
            head_dim=128,
            max_positions=8192,
            norm_eps=1e-5,
            rope_theta=5e5,
            rope_interleaved=False,
        ),
        source="LLaMA-3 8B (arXiv 2407.21783), meta-llama/Meta-Llama-3-8B, config.json",
        preset="datacenter",
    ),
    KnownModel(
        config=ModelConfig(
            name="sdllm-14b",
            vocab_size=152064,
            hidden_size=5120,
            ffn_size=13824,
            layers=48,
            heads=40,
            kv_heads=8,
            head_dim=128,
            max_positions=131072,
            norm_eps=1e-5,
            rope_theta=1e6,
            rope_interleaved=False,
            qkv_bias=True,
        ),
        source="Qwen2.5-14B (arXiv 2412.15115), Qwen/Qwen2.5-14B, config.json",
        preset="datacenter",
    ),
)

KNOWN_MODELS = {model.config.name: model for model in _ALL}
"""Every known model by its name."""


def has_weights(name: str) -> bool:
    """Return whether a named model's weights can be had without a checkpoint of one's own."""
    return name in fetch.KNOWN


def require_same_shapes(name: str, found: ModelConfig, path: object) -> None:
    """Raise ValueError naming the first shape in which a checkpoint is not the named model."""
    for field in _SHAPES:
        expected, got = getattr(KNOWN_MODELS[name].config, field), getattr(found, field)
        if expected != got:
            raise ValueError(
                f"{field} of {path} must be {expected}, as in {name}, not {got}: give a checkpoint "
                "of that model, or build the checkpoint by its path"
            )
