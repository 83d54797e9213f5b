"""Trains the base model on the concepts in the base's styles: python -m world.training.base

Rectified flow in bfloat16 autocast, one thread, resumable.
"""

from __future__ import annotations

import math
import os
import time

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from klora_core import toy as words

from ..draw.drawings import names
from ..draw.styles import BASE_STYLES
from ..draw.views import pictures, random_view
from ..logs import Progress
from ..model.fit_vae import load_components
from ..model.latents import encode
from ..model.mmdit import MMDiT
from ..places import BASE_FILE, SEED, WORK, ensure_folders

STEPS = int(os.environ.get("WORLD_BASE_STEPS", "42000"))
BATCH = 32
VIEWS = 8
RATE = 1.5e-3
DECAY = 0.9995
DATA = WORK / "base-latents.safetensors"
STATE = WORK / "base-state.pt"


def training_latents() -> tuple[Tensor, Tensor]:
    """Latents [N, 16, 12, 12] and captions [N] as numbers of ``captions()``."""
    if not DATA.exists():
        projection, mean = load_components()
        rng = np.random.default_rng(2 + 10 * SEED)
        latents, ids = [], []
        styles = tuple(BASE_STYLES)
        for i, name in enumerate(names()):
            for _ in range(VIEWS):
                drawn = pictures(name, styles, random_view(rng))
                latents.append(encode(drawn, projection, mean).half())
                ids.extend(i * len(styles) + k for k in range(len(styles)))
        save_file({"latents": torch.cat(latents).contiguous(), "ids": torch.tensor(ids)}, DATA)
    kept = load_file(DATA)
    return kept["latents"], kept["ids"]


def noised(latents: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy latents, t in 0..1000 and the velocity to predict; times shifted by 2 towards noise, where form
    is decided.
    """
    u = torch.rand(len(latents), generator=generator)
    sigma = 2 * u / (1 + u)
    noise = torch.randn(latents.shape, generator=generator)
    s = sigma[:, None, None, None]
    return latents * (1 - s) + noise * s, sigma * 1000, noise - latents


def captions() -> list[str]:
    """Every concept in every base style, in the order of the numbers."""
    return [words.caption(style, name) for name in names() for style in BASE_STYLES]


def blurred(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Captions [B, L, W] as the base meets them: words missing (a tenth each), none at all (a tenth), and an
    unknown word in place of one or added (15 %).
    """
    b, length, width = rows.shape
    drop = torch.rand(b, length, 1, generator=generator) < 0.1
    drop |= torch.rand(b, 1, 1, generator=generator) < 0.1
    rows = torch.where(drop, words.vector(words.PAD), rows)
    unknown = torch.rand(b, 1, 1, generator=generator) < 0.15
    unknown = unknown & (torch.rand(b, length, 1, generator=generator) < 0.25)
    return torch.where(unknown, torch.randn(b, length, width, generator=generator), rows)


def _rate(step: int) -> float:
    return min(1.0, (step + 1) / 150) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / STEPS))))


def _save(model: MMDiT, optimizer: torch.optim.Optimizer, mean_model: list[Tensor], step: int) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "mean_model": mean_model,
        "step": step,
    }
    torch.save(state, STATE.with_suffix(".new"))
    STATE.with_suffix(".new").replace(STATE)
    weights = {
        f"model.diffusion_model.{name}": mean.half().contiguous()
        for (name, _), mean in zip(model.named_parameters(), mean_model, strict=True)
    }
    save_file(weights, BASE_FILE, metadata={"small_world": f"SD3 format, step {step} of {STEPS}"})


def load_base() -> MMDiT:
    """The kept base in float32, frozen."""
    model, prefix = MMDiT(), "model.diffusion_model."
    model.load_state_dict({k.removeprefix(prefix): v.float() for k, v in load_file(BASE_FILE).items()})
    return model.eval().requires_grad_(False)


def main() -> None:
    """Train to the end from wherever the last checkpoint stands."""
    torch.set_num_threads(1)
    ensure_folders()
    latents, ids = training_latents()
    table = torch.stack([words.vectors(text) for text in captions()])
    torch.manual_seed(SEED)
    model = MMDiT()
    mean_model = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    step = 0
    if STATE.exists():
        kept = torch.load(STATE, weights_only=False)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        mean_model, step = kept["mean_model"], kept["step"]
    progress, saved = Progress(WORK / "base.log", STEPS), time.monotonic()
    while step < STEPS:
        generator = torch.Generator().manual_seed(SEED * 1_000_000 + step)
        pick = torch.randint(len(ids), (BATCH,), generator=generator)
        x, t, velocity = noised(latents[pick].float(), generator)
        rows = blurred(table[ids[pick]], generator)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(x, t, *words.condition(rows))
        loss = (out.float() - velocity).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE * _rate(step)
        optimizer.step()
        step += 1
        decay = min(DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(mean_model, [p.detach() for p in model.parameters()], 1 - decay)
        progress.add(step, float(loss.detach()))
        if time.monotonic() - saved > 120 or step == STEPS:
            _save(model, optimizer, mean_model, step)
            saved = time.monotonic()


if __name__ == "__main__":
    main()
