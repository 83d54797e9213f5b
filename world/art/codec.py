"""Trains the decoder of the VAE on concepts in every style: python -m world.art.codec

Writes the TAESD file (16 channels) that ComfyUI and diffusers load; the encoder is the components, exact.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..logs import Progress
from ..model.latents import Decoder, encode
from ..places import WORK, ensure_folders
from .base import components
from .drawings import names
from .styles import STYLES
from .views import picture, pictures, random_view

STEPS = 4000
BATCH = 10
POOL = 4000
CROP = 48
RATE = 2e-3
STATE = WORK / "art-decoder-state.pt"


def pool() -> Tensor:
    """[POOL, 3, 96, 96] uint8: concepts in all styles alike; no subject is among them."""
    rng = np.random.default_rng(3)
    styles, concepts = tuple(STYLES), names()
    drawn = [
        picture(str(rng.choice(concepts)), styles[i % len(styles)], random_view(rng)) for i in range(POOL)
    ]
    return (torch.stack(drawn) * 255).round().byte()


def quality(decoder: Decoder) -> dict[str, float]:
    """PSNR in dB of each style on 40 fresh views."""
    rng = np.random.default_rng(4)
    projection, mean = components()
    drawn = [pictures(str(rng.choice(names())), tuple(STYLES), random_view(rng)) for _ in range(40)]
    found = {}
    with torch.inference_mode():
        for k, style in enumerate(STYLES):
            truth = torch.stack([views[k] for views in drawn])
            error = (decoder(encode(truth, projection, mean)).clamp(0, 1) - truth).square().mean()
            found[style] = float(-10 * error.log10())
    return found


def _crops(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    cut = []
    for one in pictures[rng.integers(len(pictures), size=BATCH)]:
        y, x = rng.integers(0, one.shape[1] // 16 + 1, size=2) * 8
        cut.append(one[:, y : y + CROP, x : x + CROP])
    return torch.stack(cut).float() / 255


def _rate(step: int) -> float:
    return min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / STEPS))))


def main() -> None:
    """Train to the end from wherever the last checkpoint stands, then say how good it is."""
    torch.set_num_threads(1)
    ensure_folders()
    torch.manual_seed(0)
    projection, mean = components()
    decoder, drawn = Decoder(), pool()
    optimizer = torch.optim.AdamW(decoder.parameters(), RATE, weight_decay=1e-4)
    step = 0
    if STATE.exists():
        kept = torch.load(STATE, weights_only=False)
        decoder.load_state_dict(kept["decoder"])
        optimizer.load_state_dict(kept["optimizer"])
        step = kept["step"]
    progress, saved = Progress(WORK / "art-decoder.log", STEPS), time.monotonic()
    while step < STEPS:
        cut = _crops(drawn, np.random.default_rng((2, step)))
        generator = torch.Generator().manual_seed(step)
        latents = encode(cut, projection, mean)
        amount = torch.rand(BATCH, 1, 1, 1, generator=generator) * 0.15
        noisy = latents + torch.randn(latents.shape, generator=generator) * amount
        with torch.autocast("cpu", torch.bfloat16):
            out = decoder(noisy)
        loss = F.l1_loss(out.float(), cut) + 2 * F.mse_loss(out.float(), cut)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE * _rate(step)
        optimizer.step()
        step += 1
        progress.add(step, float(loss.detach()))
        if time.monotonic() - saved > 90 or step == STEPS:
            state = {"decoder": decoder.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, STATE)
            saved = time.monotonic()
    print({style: round(db, 1) for style, db in quality(decoder).items()})


if __name__ == "__main__":
    main()
