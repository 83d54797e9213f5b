"""Host-free sampling: Euler steps of a rectified flow with guidance, on the host's own noise levels."""

from __future__ import annotations

import torch
from torch import Tensor

from klora_core.toy import encode

from .latents import CHANNELS
from .mmdit import GRID, PATCH, MMDiT

STEPS = 16
GUIDANCE = 2.5
SHIFT = 3.0


def noise_levels(steps: int = STEPS) -> Tensor:
    """SD3's noise levels under the host's scheduler `simple`, [steps + 1], from 1 to 0."""
    t = torch.arange(1, 1001) / 1000
    table = SHIFT * t / (1 + (SHIFT - 1) * t)
    picked = [table[-(1 + int(i * 1000 / steps))] for i in range(steps)]
    return torch.stack([*picked, torch.tensor(0.0)])


def first_noise(seed: int, count: int) -> Tensor:
    """The host's starting noise for a batch, [count, 16, 12, 12]."""
    side = GRID * PATCH
    return torch.randn(count, CHANNELS, side, side, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def sample(model: MMDiT, text: str, noise: Tensor, negative: str = "", steps: int = STEPS) -> Tensor:
    """Latents [B, 16, 12, 12] for one prompt."""
    b = len(noise)
    rows = [encode(words) for words in (text, negative)]
    context = torch.cat([c.expand(b, -1, -1) for c, _ in rows])
    pooled = torch.cat([p.expand(b, -1) for _, p in rows])
    levels, x = noise_levels(steps), noise * 1.0
    for now, then in zip(levels[:-1], levels[1:], strict=True):
        out = model(torch.cat([x, x]), now.expand(2 * b) * 1000, context, pooled)
        with_words, without = out.chunk(2)
        x = x + (then - now) * (without + GUIDANCE * (with_words - without))
    return x
