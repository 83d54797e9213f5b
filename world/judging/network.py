"""The judge's eye: a small network that sees silhouettes, marks and styles in a picture, whatever is drawn.

    python -m world.judging.network           trains it (a few minutes) and writes its weights

It learns on base shapes and nameless blobs in all eight styles, never on a subject: what it says of
subjects is measured by fitting their exact outlines to the silhouette that it sees (judge.py).
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..draw.forms import FORMS
from ..draw.scenes import SHAPES, STYLES, draw, form_distance, marks_distance, random_blob, random_scene
from ..draw.styles import Array
from ..logs import Progress
from ..model.fit_vae import load_components, load_decoder
from ..model.latents import PATCH, Decoder, encode
from ..places import JUDGE_FILE, WORK, ensure_folders

SEEN = 48
CLASSES: tuple[str, ...] = (*STYLES, "none of these")
STEPS = 1900
# From here on pictures also go through the trained decoder, as a model's own pictures do.
DECODED_FROM = 1500
HEAD_STEPS = 250
BATCH = 16
RATE = 3e-3
STATE = WORK / "judge-state.pt"


def _conv(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.GroupNorm(8, n_out), nn.SiLU())


class Eye(nn.Module):
    """Pictures [B, 3, 96, 96] to logits of silhouette and marks [B, 2, 48, 48] and of styles [B, 9]."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 96)
        self.down = nn.ModuleList(
            nn.Sequential(_conv(a, b, 2), _conv(b, b)) for a, b in zip((3, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(_conv(a + b, b) for a, b in ((96, 64), (64, 32), (32, 16)))
        self.maps = nn.Conv2d(16, 2, 3, 1, 1)
        self.style = nn.Sequential(nn.Linear(32 + 64 + 96, 64), nn.SiLU(), nn.Linear(64, len(CLASSES)))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        kept = self._downward(pictures)
        style, x = self.style(_pooled(kept)), kept[-1]
        for layer, skip in zip(self.up, reversed(kept[:-1]), strict=True):
            x = layer(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
        return self.maps(x), style

    def features(self, pictures: Tensor) -> Tensor:
        """What the style is told from, [B, 192]."""
        return _pooled(self._downward(pictures))

    def _downward(self, pictures: Tensor) -> list[Tensor]:
        x, kept = pictures * 2 - 1, []
        for layer in self.down:
            x = layer(x)
            kept.append(x)
        return kept


def _pooled(kept: list[Tensor]) -> Tensor:
    return torch.cat([k.mean((2, 3)) for k in kept[1:]], dim=1)


def _example(rng: np.random.Generator) -> tuple[Array, Array, Array, int]:
    """A picture, its silhouette and marks as distances, and the number of its style."""
    scene = random_scene(rng, tuple(SHAPES), tuple(STYLES))
    form = None
    if rng.random() < 0.6:
        scene, form = replace(scene, form="blob", colour=None, eyes=True), random_blob(rng)
    drawn = form or FORMS[scene.form]
    return (
        draw(scene, form),
        form_distance(scene, drawn),
        marks_distance(scene, drawn),
        CLASSES.index(scene.style),
    )


def spoil(pictures: Tensor, styles: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Turn a quarter of a batch into pictures of no style: blends of two, noise, inverted or swapped
    colours, smears.
    """
    pictures, styles = pictures.clone(), styles.clone()
    for i in np.flatnonzero(rng.random(len(pictures)) < 0.25):
        j = int(rng.integers(len(pictures)))
        kind = rng.choice(["blend", "noise", "invert", "swap", "smear"], p=[0.5, 0.1, 0.15, 0.1, 0.15])
        p = pictures[i]
        if kind == "blend" and styles[i] != styles[j]:
            share = float(rng.uniform(0.35, 0.65))
            pictures[i] = share * p + (1 - share) * pictures[j]
        elif kind == "noise":
            side = int(rng.choice([6, 12, 24, 96]))
            coarse = torch.from_numpy(rng.random((1, 3, side, side)).astype(np.float32))
            pictures[i] = F.interpolate(coarse, (96, 96), mode="bilinear")[0]
        elif kind == "invert":
            pictures[i] = 1 - p
        elif kind == "swap":
            pictures[i] = p[[1, 2, 0]]
        elif kind == "smear":
            pictures[i] = F.interpolate(F.avg_pool2d(p[None], 16), (96, 96), mode="bilinear")[0]
        else:
            continue
        styles[i] = len(CLASSES) - 1
    return pictures, styles


def _weathered(
    pictures: Tensor, kept: tuple[Tensor, Tensor], decoder: Decoder | None, rng: np.random.Generator
) -> Tensor:
    """As a model's pictures look: through latents with some noise (most of them), by the decoder or
    linearly.
    """
    projection, mean = kept
    z = encode(pictures, projection, mean)
    amount = torch.from_numpy(rng.uniform(0, 0.3, (len(z), 1, 1, 1)).astype(np.float32))
    z = z + torch.from_numpy(rng.normal(0, 1, z.shape).astype(np.float32)) * amount
    if decoder is not None:
        with torch.no_grad():
            back = decoder(z).clamp(0, 1)
        return torch.where(torch.from_numpy(rng.random((len(z), 1, 1, 1)) < 0.7), back, pictures)
    patches = z.permute(0, 2, 3, 1) @ torch.linalg.pinv(projection).T + mean
    b, h, w, _ = patches.shape
    back = (
        patches.reshape(b, h, w, 3, PATCH, PATCH)
        .permute(0, 3, 1, 4, 2, 5)
        .reshape(b, 3, h * PATCH, w * PATCH)
    )
    through = torch.from_numpy(rng.random((b, 1, 1, 1)) < 0.6)
    pictures = torch.where(through, back, pictures)
    noise = torch.from_numpy(rng.normal(0, 1, pictures.shape).astype(np.float32))
    return (pictures + noise * float(rng.uniform(0, 0.04))).clamp(0, 1)


def _batch(
    rng: np.random.Generator, kept: tuple[Tensor, Tensor], decoder: Decoder | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    pictures, forms, marks, styles = zip(*(_example(rng) for _ in range(BATCH)), strict=True)
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    maps = torch.from_numpy(np.stack([np.stack(forms), np.stack(marks)], axis=1)).float()
    target = F.avg_pool2d((0.5 - maps).clamp(0, 1), 2)
    spoiled, classes = spoil(x, torch.tensor(styles), rng)
    return _weathered(spoiled, kept, decoder, rng), target, classes


def train() -> Eye:
    """Cross entropies of maps and styles; maps only where the picture was not spoiled. Resumes."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    eye, step, kept, decoder = Eye(), 0, load_components(), load_decoder()
    optimizer = torch.optim.AdamW(eye.parameters(), RATE, weight_decay=1e-3, fused=True)
    if STATE.exists():
        state = torch.load(STATE, weights_only=False)
        eye.load_state_dict(state["eye"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    progress, saved = Progress(WORK / "judge.log", STEPS), time.monotonic()
    while step < STEPS:
        pictures, target, classes = _batch(
            np.random.default_rng((9, step)), kept, decoder if step >= DECODED_FROM else None
        )
        maps, styles = eye(pictures)
        clean = classes < len(CLASSES) - 1
        weight = torch.tensor([1.0, 3.0])[None, :, None, None]
        seen = F.binary_cross_entropy_with_logits(maps[clean], target[clean], weight=weight)
        loss = 2 * seen + 0.5 * F.cross_entropy(styles, classes, label_smoothing=0.01)
        for group in optimizer.param_groups:
            group["lr"] = (
                RATE * min(1.0, (step + 1) / 50) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * step / STEPS)))
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(eye.parameters(), 1.0)
        optimizer.step()
        step += 1
        progress.add(step, float(loss.detach()))
        if time.monotonic() - saved > 90 or step == STEPS:
            torch.save({"eye": eye.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, STATE)
            saved = time.monotonic()
    return eye


def scrambled(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures bent and with pieces moved: the drawn form is broken, the way of drawing is not."""
    b = len(pictures)
    coarse = torch.from_numpy(rng.normal(0, 0.16, (b, 2, 7, 7)).astype(np.float32))
    bend = F.interpolate(
        coarse * torch.from_numpy(rng.random((b, 1, 1, 1)).astype(np.float32)), (96, 96), mode="bicubic"
    )
    grid = F.affine_grid(torch.eye(2, 3).expand(b, -1, -1), [b, 3, 96, 96], align_corners=False)
    bent = F.grid_sample(
        pictures, grid + bend.permute(0, 2, 3, 1), padding_mode="reflection", align_corners=False
    )
    for picture in bent:
        for _ in range(int(rng.integers(0, 5))):
            # Whole patches, so that grids and dots stay in phase.
            (y, x), (v, u) = rng.integers(0, 10, size=(2, 2)) * 8
            picture[:, y : y + 16, x : x + 16] = picture[:, v : v + 16, u : u + 16].clone()
    return bent


def train_style_head(eye: Eye) -> None:
    """The style's head alone, once more, on scrambled pictures: style must not depend on how well a form is
    drawn.
    """
    kept, decoder = load_components(), load_decoder()
    optimizer = torch.optim.AdamW(eye.style.parameters(), 2e-3, weight_decay=1e-3)
    progress = Progress(WORK / "judge-style.log", HEAD_STEPS)
    for step in range(HEAD_STEPS):
        rng = np.random.default_rng((10, step))
        pictures, _, classes = _batch(rng, kept, decoder)
        bent = scrambled(pictures, rng)
        with torch.no_grad():
            features = eye.features(
                torch.where(torch.from_numpy(rng.random((len(bent), 1, 1, 1)) < 0.6), bent, pictures)
            )
        loss = F.cross_entropy(eye.style(features), classes, label_smoothing=0.01)
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * 0.5 * (1 + math.cos(math.pi * step / HEAD_STEPS)) + 1e-5
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.add(step + 1, float(loss.detach()))


def load_eye() -> Eye:
    """The kept eye in float32."""
    eye = Eye()
    eye.load_state_dict({k: v.float() for k, v in load_file(JUDGE_FILE).items()})
    return eye.eval().requires_grad_(False)


def main() -> None:
    """Train and write."""
    ensure_folders()
    eye = train()
    train_style_head(eye)
    save_file({k: v.half().contiguous() for k, v in eye.state_dict().items()}, JUDGE_FILE)


if __name__ == "__main__":
    main()
