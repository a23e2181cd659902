"""What a cache of keys and values gives back, and how much it holds."""

import pytest
import torch

from golden.checkpoint.config import ModelConfig
from golden.model.kv_cache import FloatCache, IntegerCache
from golden.numerics.kv import Rows

CONFIG = ModelConfig(
    name="small",
    vocab_size=9,
    hidden_size=8,
    ffn_size=8,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=6,
    max_positions=16,
    norm_eps=1e-5,
    rope_theta=1e4,
    rope_interleaved=True,
)


def random_rows(generator: torch.Generator) -> Rows:
    codes = torch.randint(-127, 128, (7, 2, 6), generator=generator, dtype=torch.int8)
    scales = torch.randint(1, 1 << 16, (2, 7, 2), generator=generator, dtype=torch.int32)
    return Rows(codes, *scales)


def test_a_cache_gives_back_what_it_took(seed):
    cache = IntegerCache(CONFIG, 16)
    generator = torch.Generator().manual_seed(seed)
    rows = [random_rows(generator) for _ in range(4)]
    for layer in (0, 1):
        whole = rows[2 * layer], rows[2 * layer + 1]
        for start, stop in ((0, 4), (4, 5), (5, 7)):
            parts = (encode_part(r, start, stop) for r in whole)
            found = cache.extend(layer, start, *parts)
            for held, given_rows in zip(found, whole, strict=True):
                first = given_rows.first(stop)
                assert torch.equal(held.codes, first.codes)
                assert torch.equal(held.mantissa, first.mantissa)
                assert torch.equal(held.exponent, first.exponent)


def encode_part(rows, start: int, stop: int):
    part = slice(start, stop)
    return type(rows)(rows.codes[part], rows.mantissa[part], rows.exponent[part])


@pytest.mark.parametrize("cache", [FloatCache, IntegerCache])
def test_a_cache_holds_what_the_model_does(cache):
    with pytest.raises(ValueError, match=r"^positions must be in \[1, 16\], not 17$"):
        cache(CONFIG, 17)
