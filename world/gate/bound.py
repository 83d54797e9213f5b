"""The bound: how far two LoRAs can be fused at all, shown by one number a column learned from true pictures.

dW of a slot = sum over LoRAs of B_i A_i diag(m_i). No method has these pictures: what is reached here says
whether a pair can be fused by its two LoRAs; where it is no better than the best plain sum, nothing can be
measured.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from klora_core import toy as words

from ..draw.views import picture, random_view
from ..model.fit_vae import load_components
from ..model.latents import encode
from ..model.lora import SLOTS, Factors
from ..model.mmdit import MMDiT
from ..pairs import Pair
from ..training.base import noised

TRUE_PICTURES = 16
STEPS = 200
BATCH = 8
RATE = 0.03

Columns = list[list[Tensor]]


def true_latents(pair: Pair, seed: int) -> Tensor:
    """Latents [16, 16, 12, 12] of the subject drawn in the style."""
    rng = np.random.default_rng((80, seed, *pair.name.encode()))
    drawn = [picture(pair.subject, pair.style, random_view(rng)) for _ in range(TRUE_PICTURES)]
    return encode(torch.stack(drawn), *load_components())


def weights(model: MMDiT, loras: tuple[Factors, ...], columns: Columns) -> dict[str, Tensor]:
    """The model's weights with both LoRAs' deltas, each column by its number; by parameter name."""
    parts: dict[str, list[tuple[slice, Tensor]]] = {}
    for index, slot in enumerate(SLOTS):
        delta = sum(
            lora[index][0] @ (lora[index][1] * m[index]) for lora, m in zip(loras, columns, strict=True)
        )
        parts.setdefault(f"{slot.module}.weight", []).append((slot.rows, delta))
    found = {}
    for name, pieces in parts.items():
        whole = torch.cat([delta for _, delta in sorted(pieces, key=lambda p: p[0].start or 0)])
        found[name] = model.get_parameter(name) + whole
    return found


def learned(
    model: MMDiT, loras: tuple[Factors, ...], pair: Pair, start: float, seed: int = 0
) -> tuple[Factors, ...]:
    """The two LoRAs with their columns scaled by true pictures; ``start``: the best sum's strength."""
    generator, latents = torch.Generator().manual_seed(seed), true_latents(pair, seed)
    columns = [
        [torch.full((lora[i][1].shape[1],), start).requires_grad_() for i in range(len(SLOTS))]
        for lora in loras
    ]
    optimizer = torch.optim.AdamW([m for one in columns for m in one], RATE, weight_decay=0.0)
    rows = words.vectors(pair.prompt)[None].expand(BATCH, -1, -1)
    for step in range(STEPS):
        pick = torch.randint(len(latents), (BATCH,), generator=generator)
        x, t, velocity = noised(latents[pick], generator)
        with torch.autocast("cpu", torch.bfloat16):
            out = functional_call(model, weights(model, loras, columns), (x, t, *words.condition(rows)))
        loss = (out.float() - velocity).square().mean()
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        optimizer.step()
    return tuple(
        {i: (up, down * one[i].detach()) for i, (up, down) in lora.items()}
        for lora, one in zip(loras, columns, strict=True)
    )
