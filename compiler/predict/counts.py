"""What one token costs on hardware, counted: bytes, additions, steps of the array, vector work."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from compiler.passes.schedule import slots_of_layer
from compiler.predict.workload import Product
from golden.checkpoint.config import ModelConfig
from golden.numerics.codings import time_steps_for
from golden.numerics.neuron import MAX_COUNT
from hw.contract.isa import SLOT_BYTES, VECTOR_PASSES, VECTOR_UNARY, VectorOp
from hw.contract.params import HwParams

__all__ = [
    "MULTIPLICATIONS",
    "REQUANTIZER_MULTIPLICATIONS",
    "SCALER_MULTIPLICATIONS",
    "Counts",
    "ProductCounts",
    "count",
    "product_counts",
    "vector_counts",
    "vector_reads",
]

REQUANTIZER_MULTIPLICATIONS = 2
"""Of an output (numerics, section 6)."""
SCALER_MULTIPLICATIONS = 2
"""Of an output of a group (numerics, section 5)."""
MULTIPLICATIONS = {
    VectorOp.COPY: 0,
    VectorOp.ADD: 0,
    VectorOp.NORM: 3,
    VectorOp.ROTATE: 2,
    VectorOp.SWIGLU: 3,
    VectorOp.SOFTMAX: 4,
    VectorOp.ARGMAX: 0,
}
"""Of an element that an operation of VECTOR makes (numerics, section 8); all must be listed."""

_ELEMENT_BYTES = 4  # Q15.16


@dataclass(frozen=True, kw_only=True)
class ProductCounts:
    """What one matrix product of one token costs, its weights shared by a batch.

    Attributes
    ----------
    bytes, dense_bytes : float
        Row segments fetched, and those of all channels; scales of groups among them.
    word_bytes : float
        Channel words: scales and biases.
    beats : float
        Beats of `lanes` weights that reach the array.
    steps : float
        Operations of the spike array, one a cycle.
    additions, multiplications : float
        Synaptic operations of the spike array, and of a MAC array.
    scaled : float
        Accumulators of groups that pass the scaler.
    """

    bytes: float
    dense_bytes: float
    word_bytes: float
    beats: float
    steps: float
    additions: float
    multiplications: float
    scaled: float


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Means over tokens, of one token.

    Attributes
    ----------
    macs : float
        Of the dense products.
    additions, multiplications : float
        Synaptic operations of a spike array, and of a MAC array.
    beats, steps : float
        As of `ProductCounts`.
    weight_elements, cache_elements : float
        Weights, and codes of keys and values, of all channels, each as often as it is fetched.
    weight_bytes, cache_bytes : float
        Row segments fetched of either.
    dense_bytes : float
        Row segments of all channels, of both.
    word_bytes : float
        Channel words.
    store_bytes : float
        Keys and values written, with their scales.
    read_elements, written_elements : float
        Of vectors, to and from memory, all units together.
    program_bytes : float
        Instructions and records: an estimate.
    encoded : float
        Elements that pass the encoder.
    results : float
        Outputs that pass the requantizer.
    scale_bits : float
        Of the scales of all groups, each as often as it is fetched.
    group_outputs : float
        Of all groups: outputs that each group of a row is summed up for.
    scaled : float
        Accumulators of groups that pass the scaler.
    vector_multiplications : float
        Of the vector unit and the requantizer.
    """

    macs: float = 0.0
    additions: float = 0.0
    multiplications: float = 0.0
    beats: float = 0.0
    steps: float = 0.0
    weight_elements: float = 0.0
    cache_elements: float = 0.0
    weight_bytes: float = 0.0
    cache_bytes: float = 0.0
    dense_bytes: float = 0.0
    word_bytes: float = 0.0
    store_bytes: float = 0.0
    read_elements: float = 0.0
    written_elements: float = 0.0
    program_bytes: float = 0.0
    encoded: float = 0.0
    results: float = 0.0
    scale_bits: float = 0.0
    group_outputs: float = 0.0
    scaled: float = 0.0
    vector_multiplications: float = 0.0

    @property
    def read_bytes(self) -> float:
        """Bytes read from memory."""
        vectors = _ELEMENT_BYTES * self.read_elements
        return self.weight_bytes + self.cache_bytes + self.word_bytes + vectors + self.program_bytes

    @property
    def written_bytes(self) -> float:
        """Bytes written to memory."""
        return self.store_bytes + _ELEMENT_BYTES * self.written_elements

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in _FIELDS})

    def times(self, factor: float) -> "Counts":
        """Return all of it `factor` times."""
        return Counts(**{f.name: getattr(self, f.name) * factor for f in _FIELDS})


_FIELDS = fields(Counts)


def count(
    config: ModelConfig,
    products: Iterable[Product],
    params: HwParams,
    coding: str,
    position: float,
    batch: int = 1,
) -> Counts:
    """Count a token's work.

    Parameters
    ----------
    config : ModelConfig
        The model.
    products : iterable of Product
        Of the token, see `compiler.predict.workload.products`.
    params : HwParams
        The hardware: its tiles, beats and words.
    coding : str
        How counts become spikes.
    position : float
        Of the token.
    batch : int
        Tokens that share what is fetched; one, as long as programs take one token at a time.
    """
    total = vector_counts(config, params, position)
    for product in products:
        of = product_counts(product, params, coding, batch)
        is_cache = product.sharing > 1 or product.name.rpartition(".")[2] in ("keys", "values")
        elements = product.channels * product.outputs * product.times / batch
        total += Counts(
            macs=product.macs,
            additions=of.additions,
            multiplications=of.multiplications,
            beats=of.beats,
            steps=of.steps,
            dense_bytes=of.dense_bytes,
            word_bytes=of.word_bytes,
            scale_bits=8 * product.scale_bytes / batch,
            group_outputs=product.scale_groups * product.outputs * product.times,
            scaled=of.scaled,
            **(
                {"cache_bytes": of.bytes, "cache_elements": elements}
                if is_cache
                else {"weight_bytes": of.bytes, "weight_elements": elements}
            ),
        )
    return total


def product_counts(
    product: Product, params: HwParams, coding: str, batch: int = 1
) -> ProductCounts:
    """Count one product's work for one token of a batch.

    Vectors that pass the array together are taken to fire independently: of one vector, bytes and
    additions are exact; of several, an estimate.
    """
    silent, spikes = product.activity.silent, product.activity.spikes[coding]
    digits = time_steps_for(MAX_COUNT, coding, product.activity.shifts)
    rows = max(params.tokens, batch)
    together, rest = divmod(product.sharing * batch, rows)
    groups = [rows] * together + [rest] * (rest > 0)
    firing = sum(1 - silent**vectors for vectors in groups)
    firing_steps = sum(digits * (1 - (1 - spikes / digits) ** vectors) for vectors in groups)
    tiles = params.tiles(product.outputs)
    row_bytes = sum(params.row_bytes(n, product.weight_width) for n in tiles)
    row_beats = sum(params.row_beats(n, product.weight_width) for n in tiles)
    channels = product.channels * product.times / batch
    scale_bytes = scaled = 0.0
    some: list[float] = []
    if product.groups:
        of_group = sum(params.scale_words(n, product.groups.bits) for n in tiles) * params.axi_bytes
        some = [product.group_fires(silent**vectors) for vectors in groups]
        scale_bytes = product.scale_groups * product.times / batch * of_group
        scaled = product.scale_groups * product.outputs * product.times / batch
        scaled *= sum(share * vectors for share, vectors in zip(some, groups, strict=True))
    return ProductCounts(
        bytes=channels * firing * row_bytes + scale_bytes * sum(some),
        dense_bytes=(channels * row_bytes + scale_bytes) * len(groups),
        word_bytes=product.times / batch * len(groups) * sum(map(params.vector_bytes, tiles)),
        beats=channels * firing * row_beats,
        steps=channels * firing_steps * row_beats,
        additions=product.additions(coding),
        multiplications=product.macs * (1 - silent),
        scaled=scaled,
    )


def vector_reads(operation: VectorOp) -> int:
    """Return how often an operation reads the words of a vector, all passes and operands."""
    return VECTOR_PASSES.get(operation, 1) + (operation not in VECTOR_UNARY)


def vector_counts(config: ModelConfig, params: HwParams, position: float) -> Counts:
    """Count what lies between the matrices, as `compiler.passes.schedule` orders it."""
    hidden, ffn, head = config.hidden_size, config.ffn_size, config.head_dim
    heads, kv = config.heads, config.kv_heads
    queries, keys = heads * head, kv * head
    normed = queries + keys if config.qk_norm else 0

    read = written = encoded = results = multiplied = store = slots = 0.0
    for layer in range(config.layers):
        span = min(position + 1, config.window(layer) or position + 1)
        encodes = 2 * hidden + 2 * queries + ffn + heads * span
        outputs = queries + 2 * keys + hidden + 2 * ffn + hidden + heads * span + queries
        norms, rotated, scores = 2 * hidden + normed, queries + keys, heads * span
        read += encodes + 2 * keys  # STORE reads keys and values
        for operation, elements in (
            (VectorOp.NORM, norms),
            (VectorOp.ROTATE, rotated),
            (VectorOp.SOFTMAX, scores),
            (VectorOp.ADD, 2 * hidden),
            (VectorOp.SWIGLU, ffn),
        ):
            read += vector_reads(operation) * elements
        written += outputs + norms + rotated + scores + 2 * hidden + ffn
        encoded += encodes + 2 * keys
        results += outputs
        multiplied += (
            MULTIPLICATIONS[VectorOp.NORM] * norms + MULTIPLICATIONS[VectorOp.ROTATE] * rotated
        )
        multiplied += (
            MULTIPLICATIONS[VectorOp.SOFTMAX] * scores + MULTIPLICATIONS[VectorOp.SWIGLU] * ffn
        )
        store += 2 * (keys + _ELEMENT_BYTES * kv)
        slots += slots_of_layer(config, params)
    read += vector_reads(VectorOp.COPY) * hidden  # the embedding
    read += vector_reads(VectorOp.NORM) * hidden + hidden  # and the head's ENCODE
    read += vector_reads(VectorOp.ARGMAX) * config.vocab_size
    written += 2 * hidden + config.vocab_size + 1  # the next token
    results += config.vocab_size
    multiplied += MULTIPLICATIONS[VectorOp.NORM] * hidden + REQUANTIZER_MULTIPLICATIONS * results
    return Counts(
        store_bytes=store,
        read_elements=read,
        written_elements=written,
        program_bytes=2 * SLOT_BYTES * slots,  # an instruction and its record
        encoded=encoded + hidden,
        results=results,
        vector_multiplications=multiplied,
    )
