"""The judge's eye: which concept a picture shows, whatever the way of drawing, and which style it is in.

    python -m world.judging.network            trains it and writes its weights

It learns to find the same concept in another style among all concepts of a batch (InfoNCE, van den Oord et
al. 2018, arXiv 1807.03748), beside a head for the style. Subjects and forty concepts (`concepts.judged`) are
never shown to it: on them it is validated.
"""

from __future__ import annotations

import math
import time
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..draw.concepts import SUBJECTS, judged
from ..draw.drawings import names
from ..draw.styles import STYLES
from ..draw.views import View, pictures, random_view
from ..logs import Progress
from ..model.fit_vae import load_components, load_decoder
from ..model.latents import encode
from ..places import BANK_FILE, JUDGE_FILE, WORK, ensure_folders

CLASSES: tuple[str, ...] = (*STYLES, "none of these")
WIDTHS = (32, 64, 128, 192)
EMBEDDED = 128
STEPS = 2000
BATCH = 48
VIEWS = 3
RATE = 2e-3
TEMPERATURE = 0.1
POOL = WORK / "judge-pictures.safetensors"
STATE = WORK / "judge-state.pt"


def _conv(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.GroupNorm(8, n_out), nn.SiLU())


class Eye(nn.Module):
    """Pictures [B, 3, 96, 96] in 0..1 to unit vectors of what is shown [B, 128], logits of styles [B, 9]."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(_conv(a, b, 2), _conv(b, b)) for a, b in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True)
        )
        self.narrow = nn.Conv2d(WIDTHS[-1], 48, 1)
        self.concept = nn.Linear(48 * 6 * 6, EMBEDDED)
        self.style = nn.Sequential(nn.Linear(sum(WIDTHS[:3]), 64), nn.SiLU(), nn.Linear(64, len(CLASSES)))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        x, pooled = pictures * 2 - 1, []
        for layer in self.down:
            x = layer(x)
            pooled.append(x.mean((2, 3)))
        shown = F.normalize(self.concept(self.narrow(x).flatten(1)).float(), dim=1)
        return shown, self.style(torch.cat(pooled[:3], dim=1)).float()


@torch.inference_mode()
def as_made(drawn: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Pictures [B, 3, 96, 96] as a model's own look: through latents with some noise and the decoder."""
    latents = encode(drawn, *load_components())
    amount = noise * torch.rand(len(latents), 1, 1, 1, generator=generator)
    return _decoder()(latents + torch.randn(latents.shape, generator=generator) * amount).clamp(0, 1)


_decoder = cache(load_decoder)


def learned() -> list[str]:
    """The concepts that the eye is shown."""
    left = set(judged(list(names())))
    return [name for name in names() if name not in left]


def pool() -> Tensor:
    """[concepts, VIEWS, styles, 3, 96, 96] uint8: the eye's pictures, as a model makes them."""
    if not POOL.exists():
        rng, generator = np.random.default_rng(5), torch.Generator().manual_seed(5)
        made = torch.stack(
            [
                torch.stack(
                    [
                        (
                            as_made(pictures(name, tuple(STYLES), random_view(rng)), 0.3, generator) * 255
                        ).byte()
                        for _ in range(VIEWS)
                    ]
                )
                for name in learned()
            ]
        )
        save_file({"pictures": made}, POOL)
    return load_file(POOL)["pictures"]


def scrambled(drawn: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures bent and with pieces moved: the form is broken, the way of drawing is not."""
    b = len(drawn)
    bend = torch.from_numpy(rng.normal(0, 0.16, (b, 2, 7, 7)).astype(np.float32))
    bend = F.interpolate(
        bend * torch.from_numpy(rng.random((b, 1, 1, 1)).astype(np.float32)), (96, 96), mode="bicubic"
    )
    grid = F.affine_grid(torch.eye(2, 3).expand(b, -1, -1), [b, 3, 96, 96], align_corners=False)
    grid = grid + bend.permute(0, 2, 3, 1)
    bent = F.grid_sample(drawn, grid, padding_mode="reflection", align_corners=False)
    for picture in bent:
        for _ in range(int(rng.integers(0, 5))):
            # Whole patches, so that patterns stay in phase.
            (y, x), (v, u) = rng.integers(0, 10, size=(2, 2)) * 8
            picture[:, y : y + 16, x : x + 16] = picture[:, v : v + 16, u : u + 16].clone()
    return bent


def spoiled(drawn: Tensor, styles: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Half bent (their style stays), a quarter made pictures of no style: blends, inverted, smeared."""
    bent = torch.from_numpy(rng.random((len(drawn), 1, 1, 1)) < 0.5)
    drawn, styles = torch.where(bent, scrambled(drawn, rng), drawn), styles.clone()
    for i in np.flatnonzero(rng.random(len(drawn)) < 0.25):
        j, kind, share = int(rng.integers(len(drawn))), rng.random(), float(rng.uniform(0.35, 0.65))
        if kind < 0.55 and styles[i] != styles[j]:
            drawn[i] = share * drawn[i] + (1 - share) * drawn[j]
        elif kind < 0.7:
            drawn[i] = 1 - drawn[i]
        elif kind < 0.8:
            drawn[i] = drawn[i][[1, 2, 0]]
        else:
            drawn[i] = F.interpolate(F.avg_pool2d(drawn[i][None], 16), (96, 96), mode="bilinear")[0]
        styles[i] = len(CLASSES) - 1
    return drawn, styles


def _batch(made: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two pictures of each of BATCH concepts in different styles, the styles, and the same spoiled."""
    rng = np.random.default_rng((7, step))
    concepts = torch.from_numpy(rng.choice(len(made), BATCH, replace=False)).repeat(2)
    first = rng.integers(len(STYLES), size=BATCH)
    other = (first + rng.integers(1, len(STYLES), size=BATCH)) % len(STYLES)
    styles = torch.from_numpy(np.concatenate([first, other]))
    views = torch.from_numpy(rng.integers(VIEWS, size=2 * BATCH))
    drawn = made[concepts, views, styles].float() / 255
    spoilt, classes = spoiled(drawn[::2].clone(), styles[::2], rng)
    return drawn, styles, spoilt, classes


def train() -> Eye:
    """InfoNCE of the pairs and the cross entropy of the styles. Resumes."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    eye, made, step = Eye(), pool(), 0
    optimizer = torch.optim.AdamW(eye.parameters(), RATE, weight_decay=1e-2, fused=True)
    if STATE.exists():
        state = torch.load(STATE, weights_only=False)
        eye.load_state_dict(state["eye"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    progress, saved = Progress(WORK / "judge.log", STEPS), time.monotonic()
    pairs = torch.arange(2 * BATCH).roll(BATCH)
    while step < STEPS:
        drawn, styles, spoilt, classes = _batch(made, step)
        with torch.autocast("cpu", torch.bfloat16):
            shown, seen = eye(torch.cat([drawn, spoilt]))
        shown = shown[: 2 * BATCH]
        likeness = (shown @ shown.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        told = F.cross_entropy(seen, torch.cat([styles, classes]), label_smoothing=0.01)
        loss = F.cross_entropy(likeness, pairs) + 0.5 * told
        for group in optimizer.param_groups:
            half = 0.5 * (1 + math.cos(math.pi * step / STEPS))
            group["lr"] = RATE * min(1.0, (step + 1) / 50) * (0.01 + 0.99 * half)
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


def load_eye() -> Eye:
    """The kept eye in float32, frozen."""
    eye = Eye()
    eye.load_state_dict({k: v.float() for k, v in load_file(JUDGE_FILE).items()})
    return eye.eval().requires_grad_(False)


@torch.inference_mode()
def bank(eye: Eye) -> tuple[list[str], Tensor]:
    """All names, subjects too, and what each looks like to the eye [names, 128]: the mean over the styles.

    Kept in a file, so that pictures are scored where no drawings are.
    """
    if not BANK_FILE.exists():
        still, generator = View(0, 0, 0.9, 0), torch.Generator().manual_seed(1)
        seen = {
            name: F.normalize(
                eye(as_made(pictures(name, tuple(STYLES), still), 0, generator))[0].mean(0), dim=0
            )
            for name in (*names(), *SUBJECTS)
        }
        save_file({name: like.half() for name, like in seen.items()}, BANK_FILE)
    kept = load_file(BANK_FILE)
    return list(kept), torch.stack(list(kept.values())).float()


@torch.inference_mode()
def rank(eye: Eye, known: Tensor, drawn: Tensor, right: int) -> Tensor:
    """The rank from 1 of the concept ``right`` among the ``known`` [N, 128] for each picture [B]."""
    likeness = eye(drawn)[0] @ known.T
    return 1 + (likeness > likeness[:, right : right + 1]).sum(1)


@torch.inference_mode()
def validation(eye: Eye) -> dict[str, tuple[float, float]]:
    """By style: how often a concept never seen is first among all names, and how often the style is told."""
    all_names, known = bank(eye)
    rng, generator = np.random.default_rng(6), torch.Generator().manual_seed(6)
    first, told = np.zeros((2, len(STYLES)))
    unseen = [*judged(list(names())), *SUBJECTS]
    for name in unseen:
        drawn = as_made(pictures(name, tuple(STYLES), random_view(rng)), 0.15, generator)
        first += (rank(eye, known, drawn, all_names.index(name)) == 1).numpy()
        told += (eye(drawn)[1].argmax(1) == torch.arange(len(STYLES))).numpy()
    return {s: (first[i] / len(unseen), told[i] / len(unseen)) for i, s in enumerate(STYLES)}


def main() -> None:
    """Train, write, and say how far it can be trusted."""
    ensure_folders()
    eye = train()
    save_file({k: v.half().contiguous() for k, v in eye.state_dict().items()}, JUDGE_FILE)
    for style, (first, told) in validation(load_eye()).items():
        print(f"{style:12s} concept first {first:.2f}  style told {told:.2f}")


if __name__ == "__main__":
    main()
