"""Tiny LoRA pairs in the spellings that trainers write. Needs no host."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from . import MODELS_DIR, linears, z_image
from .linears import Linear


def _kohya(module: str) -> tuple[str, str, str | None]:
    at = "lora_" + module.replace(".", "_")
    return f"{at}.lora_up.weight", f"{at}.lora_down.weight", f"{at}.alpha"


def _old_diffusers(module: str) -> tuple[str, str, str | None]:
    # unet.<...>.attn1.to_out.0 -> unet.<...>.attn1.processor.to_out_lora
    head, _, tail = module.removesuffix(".0").rpartition(".")
    return f"{head}.processor.{tail}_lora.up.weight", f"{head}.processor.{tail}_lora.down.weight", None


def _peft(module: str) -> tuple[str, str, str | None]:
    return f"{module}.lora_B.weight", f"{module}.lora_A.weight", None


FAMILIES = ("sd15", "sdxl", "flux", "zimage", "wan")

SPELLINGS: dict[str, Callable[[str], tuple[str, str, str | None]]] = {
    "kohya": _kohya,
    "diffusers-old": _old_diffusers,
    "peft": _peft,
}
"""How a trainer spells one module: keys of up, down and alpha (None: the format has none)."""


@dataclass(frozen=True)
class Recipe:
    """One LoRA file: which modules, how they are named, and how large the factors are."""

    spelling: str
    prefix: str
    linears: tuple[Linear, ...]
    rank: int
    alpha: float
    seed: int
    dtype: torch.dtype = torch.float16
    text_linears: tuple[Linear, ...] = ()
    strength: float = 0.25


def _factors(linear: Linear, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Heavy-tailed factors; the delta's size against a unit-gain weight is `strength` times a log-normal.

    Trained LoRAs differ from slot to slot, and that spread is what makes the winner change over a run.
    """
    rng = torch.Generator().manual_seed(zlib.crc32(linear.name.encode()) ^ recipe.seed)
    tail = 1 + 3 * (torch.rand(linear.out_features, 1, generator=rng) < 0.04)
    up = torch.randn(linear.out_features, recipe.rank, generator=rng) * tail
    down = torch.randn(recipe.rank, linear.in_features, generator=rng)
    spread = math.exp(0.5 * torch.randn((), generator=rng).item())
    size = recipe.strength * spread / math.sqrt(linear.in_features) / math.sqrt(recipe.rank)
    folded = recipe.alpha / recipe.rank if SPELLINGS[recipe.spelling]("x.y")[2] else 1.0
    each = math.sqrt(size / folded)
    return up * each, down * each


def build_lora(recipe: Recipe) -> dict[str, torch.Tensor]:
    """The LoRA's state dict as its trainer would save it."""
    out: dict[str, torch.Tensor] = {}
    spell = SPELLINGS[recipe.spelling]
    text = [("te.", linear) for linear in recipe.text_linears]
    for prefix, linear in [*[(recipe.prefix, linear) for linear in recipe.linears], *text]:
        up_key, down_key, alpha_key = spell(prefix + linear.name)
        up, down = _factors(linear, recipe)
        out[up_key], out[down_key] = up.to(recipe.dtype), down.to(recipe.dtype)
        if alpha_key:
            out[alpha_key] = torch.tensor(recipe.alpha, dtype=recipe.dtype)
    return out


def write_lightning(folder: Path) -> None:
    """A LoRA that stays on beside a pair, under the name that the Lightning workflow ships with."""
    recipe = Recipe("kohya", "unet.", linears.sdxl_linears(), rank=4, alpha=4.0, seed=9)
    save_file(build_lora(recipe), folder / "sdxl_lightning_4step_lora.safetensors")


def _pair(linears: tuple[Linear, ...], text: tuple[Linear, ...] = ()) -> dict[str, Recipe]:
    return {
        "subject": Recipe("kohya", "unet.", linears, rank=8, alpha=4.0, seed=1, text_linears=text),
        "style": Recipe("diffusers-old", "unet.", linears, 4, 4.0, seed=2, dtype=torch.float32),
    }


def recipes() -> dict[str, Recipe]:
    """Every LoRA by file stem: a subject and a style per family, of unequal ranks, types and spellings.

    SD1.5 has a second style. Wan has two pairs, for its high noise and its low noise model.
    """
    sd15 = _pair(linears.sd15_linears(), linears.clip_l_linears())
    sd15["style2"] = Recipe("peft", "unet.", linears.sd15_linears(), rank=6, alpha=6.0, seed=3)
    sdxl = _pair(linears.sdxl_linears())
    flux = {
        "subject": Recipe("kohya", "unet.", linears.flux_fused_linears(), rank=8, alpha=8.0, seed=1),
        "style": Recipe("peft", "transformer.", linears.flux_linears(), 4, 4.0, seed=2, dtype=torch.bfloat16),
    }
    zimage = {
        "subject": Recipe("kohya", "unet.", z_image.fused_linears(), rank=8, alpha=8.0, seed=1),
        "style": Recipe("peft", "transformer.", z_image.linears(), 4, 4.0, seed=2, dtype=torch.bfloat16),
    }
    wan = {
        f"{role}{pair}": Recipe(spelling, prefix, linears.wan_linears(), rank, 4.0, seed)
        for role, spelling, prefix, rank in (
            ("subject", "kohya", "unet.", 8),
            ("style", "peft", "diffusion_model.", 4),
        )
        for pair, seed in (("", 1 + rank), ("2", 2 + rank))
    }
    families = {"sd15": sd15, "sdxl": sdxl, "flux": flux, "zimage": zimage, "wan": wan}
    return {f"tiny-{role}-{family}": r for family, pair in families.items() for role, r in pair.items()}


def ensure(families: Iterable[str] = FAMILIES, folder: Path = MODELS_DIR / "loras") -> None:
    """Write the pairs of the named families that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, recipe in recipes().items():
        path = folder / f"{stem}.safetensors"
        if stem.rsplit("-", 1)[1] in families and not path.is_file():
            partial = path.with_suffix(".partial")
            save_file(build_lora(recipe), partial, metadata={"format": "pt"})
            partial.replace(path)
