"""Makes the shipped workflows' thumbnails for the Templates browser: what each is for, on the small world.

`python -m world.pictures.thumbnails [NAME...]` rewrites workflows/*.jpg, or the named ones: in a real
ComfyUI, with the workflow's own K-LoRA nodes, settings, steps and seed. Loaders, words, size, sampler and
guidance are the small world's (world/README.md).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from klora_core import palette
from tools.host.server import Server
from tools.workflows.shipped import path_of
from world.hosts.fused import klora_plan
from world.hosts.fused import sample as fused_sample
from world.model.fit_vae import load_decoder
from world.model.lora import Factors, added, read_diffusers_file
from world.model.sampling import first_noise, sample
from world.pairs import TRIGGERS, Pair
from world.pictures import layouts
from world.pictures.board import BADGE, GAP, LARGE, Board
from world.pictures.cast import KIND, LEAN, PAIR, Cast, serving_world
from world.pictures.files import save
from world.pictures.shots import take
from world.training.base import load_base
from world.training.loras import Job


@dataclass(frozen=True)
class Thumbnail:
    """Title, who is shown, how; and K-LoRA settings that differ from the workflow's."""

    title: str
    cast: Cast
    layout: layouts.Layout
    dials: Mapping[str, Any] = field(default_factory=dict)


_INK, _HALFTONE = Cast("owl", ("ink",)), Cast("owl", ("halftone",))
_LEAN, _MORE, _LESS = {"balance": LEAN["balance"]}, {"balance": -0.3}, {"balance": -0.2}
THUMBNAILS = {
    "k-lora-try": Thumbnail("Try it now: toy model, 14 MB", PAIR, layouts.large_right),
    "k-lora-sd15": Thumbnail("SD1.5", _INK, layouts.large_right, _MORE),
    "k-lora-sdxl": Thumbnail("SDXL", PAIR, layouts.large_left, LEAN),
    "k-lora-flux": Thumbnail("FLUX", _INK, layouts.row_and_map),
    "k-lora-z-image": Thumbnail("Z-Image", _HALFTONE, layouts.row_and_map, LEAN | _LESS),
    "k-lora-lightning": Thumbnail("Lightning: four steps", _HALFTONE, layouts.row_and_map, _LESS),
    "k-lora-img2img": Thumbnail("Image to image", _INK, layouts.before_after, LEAN | _MORE),
    "k-lora-refiner": Thumbnail("SDXL base, no refiner here", PAIR, layouts.large_left, _LEAN),
    "k-lora-wan": Thumbnail("Wan 2.2: two models", PAIR, layouts.large_right, LEAN),
    "k-lora-wan-pairs": Thumbnail("Wan 2.2: a pair for each", _HALFTONE, layouts.large_left, _LESS),
    "k-lora-compare": Thumbnail("Compare", PAIR, layouts.sheet, LEAN),
    "k-lora-balance-sweep": Thumbnail("What balance does", PAIR, layouts.sheet),
    "k-lora-methods": Thumbnail("Every method", PAIR, layouts.sheet),
    "k-lora-many-styles": Thumbnail(
        "Two styles merged", Cast("skull", ("neon", "ink")), layouts.three_and_map, _LEAN
    ),
    "k-lora-lora-stack": Thumbnail(
        "Any number of LoRAs", Cast("owl", ("halftone", "ink")), layouts.three_and_map, LEAN
    ),
    "k-lora-by-hand": Thumbnail(
        "LoRAs by hand",
        Cast("owl", ("ink", "mosaic")),
        partial(layouts.three_and_map, made="as scheduled"),
    ),
}
"""One noise for all, the workflows' own seed; settings that differ from the workflow's are written in too."""


_SIDE, _ACROSS, _DOWN = 2 * 96, 3, 2


def _factors(*names: str) -> list[Factors]:
    return [read_diffusers_file(load_file(Job(KIND, name, 0).path())) for name in names]


def _six(
    title: str, words: str, latents: Tensor, picked: Sequence[int] = (), tagged: str = "picked"
) -> Image.Image:
    """Six pictures that the world made, some of them tagged, and what becomes of such pictures in words."""
    board, made = Board(), load_decoder()(latents).clamp(0, 1)
    for at, pixels in enumerate((made * 255).round().byte().permute(0, 2, 3, 1).numpy()):
        row, column = divmod(at, _ACROSS)
        place = GAP + column * (_SIDE + GAP), BADGE + row * (_SIDE + GAP)
        tag = (tagged, "subject") if at in picked else ("", "")
        board.picture(Image.fromarray(pixels), place, _SIDE, *tag)
    top = BADGE + _DOWN * (_SIDE + GAP)
    board.text(title, (GAP, top), LARGE, palette.TEXT)
    board.text(words, (GAP, top + 56))
    return board.image


def _summed(prompt: str, strength: float, *names: str, count: int = _ACROSS * _DOWN) -> Tensor:
    model = load_base()
    for lora in _factors(*names):
        added(model, lora, strength)
    return sample(model, prompt, first_noise(20250218, count))


def train_lora() -> Image.Image:
    """Pictures of a subject."""
    words = "your pictures in, a LoRA out: CoTo,\nBeamLoRA, SMoRA, UnZipLoRA"
    return _six("Train a LoRA for fusion", words, _summed(f"flat {TRIGGERS['owl']}", 1.0, "owl"))


def train_merge() -> Image.Image:
    """Pictures of a subject in a style."""
    words, pair = "two LoRAs and pictures that you like\nin, one LoRA out", Pair("owl", "ink")
    return _six("Train a merge", words, _summed(pair.prompt, 0.4, pair.subject, pair.style))


def pick_and_learn(title: str = "Pick and learn") -> Image.Image:
    """What several balances make of one noise, two of them picked."""
    words, noise = "pick the pictures that you like:\none LoRA is learned from them", first_noise(20250218, 1)
    subject, (style,) = PAIR.subject, PAIR.styles
    made = []
    for balance in (0.1, -0.05, -0.15, -0.25, -0.35, -0.45):
        plan, rows = klora_plan(*_factors(subject, style), "s", balance)
        made.append(fused_sample(load_base(), PAIR.words, noise, plan, rows))
    return _six(title, words, torch.cat(made), (2, 3))


def by_prompt() -> Image.Image:
    """What six LoRAs make alone, two of them found."""
    words = "a prompt finds the LoRAs that suit it,\nby trigger words and by meaning"
    shown = {name: f"flat {TRIGGERS[name]}" for name in ("owl", "skull", "trumpet")}
    shown |= {name: f"{TRIGGERS[name]} rocket" for name in ("ink", "neon", "halftone")}
    made = [_summed(prompt, 1.0, name, count=1) for name, prompt in shown.items()]
    return _six("LoRAs found by the prompt", words, torch.cat(made), (1, 4), "found")


# Those of workflows that train or search: what is learned from, or found.
DRAWN = {
    "k-lora-try-picking": partial(pick_and_learn, "Try it now: pick and learn"),
    "k-lora-train-lora": train_lora,
    "k-lora-train-merge": train_merge,
    "k-lora-pick": pick_and_learn,
    "k-lora-by-prompt": by_prompt,
}


def thumbnail(server: Server, name: str) -> Image.Image:
    """Run one workflow on the world and lay its pictures out."""
    wanted = THUMBNAILS[name]
    return wanted.layout(take(server, name, wanted.cast, wanted.dials), wanted.title)


def main(names: list[str]) -> None:
    """One JPEG a workflow."""
    chosen = names or [*THUMBNAILS, *DRAWN]
    for name in filter(DRAWN.__contains__, chosen):
        save(DRAWN[name](), path_of(name, "jpg"))
    rest = [name for name in chosen if name not in DRAWN]
    if not rest:
        return
    with serving_world() as server:
        for name in rest:
            save(thumbnail(server, name), path_of(name, "jpg"))


if __name__ == "__main__":
    main(sys.argv[1:])
