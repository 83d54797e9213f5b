"""Random but well-behaved weights for a network that is known by its parameter names and shapes only."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import torch

_POOL_SIZE = (1 << 22) + 17


def _pool(seed: int) -> torch.Tensor:
    return torch.randn(_POOL_SIZE, generator=torch.Generator().manual_seed(seed))


def _noise(pool: torch.Tensor, key: str, numel: int) -> torch.Tensor:
    """Numbers that depend on the key alone, never on how many were drawn before."""
    start = zlib.crc32(key.encode()) % pool.numel()
    rolled = torch.cat([pool[start:], pool[:start]])
    return rolled.repeat(-(-numel // rolled.numel()))[:numel]


def random_weights(
    shapes: Mapping[str, torch.Size], seed: int, dtype: torch.dtype, gain: float = 1.0
) -> dict[str, torch.Tensor]:
    """Weights with unit-variance-preserving scale: norms are 1, biases 0, matrices normal over sqrt(fan in).

    A pool of 4 M normals is reused at key-dependent offsets: 700 M fresh ones would cost ten seconds.
    """
    pool = _pool(seed)
    out: dict[str, torch.Tensor] = {}
    for key, shape in shapes.items():
        if not shape:
            out[key] = torch.ones((), dtype=dtype)
            continue
        if len(shape) < 2:
            ones = key.endswith(("weight", "scale"))
            out[key] = torch.ones(shape, dtype=dtype) if ones else torch.zeros(shape, dtype=dtype)
            continue
        embedding = "embedding" in key and "in_layer" not in key
        fan_in = 1 if embedding else shape[1:].numel()
        scale = 0.05 if embedding else gain / fan_in**0.5
        out[key] = (_noise(pool, key, shape.numel()) * scale).to(dtype).reshape(shape).contiguous()
    return out
