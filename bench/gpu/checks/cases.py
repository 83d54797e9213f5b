"""The models of the checks: full shapes on a GPU, the tiny formats in a rehearsal. Needs the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from tools.tiny.architectures import FLUX_DIT, SDXL_UNET

from ...host import models
from ...host.models import Case, random_lora

RANK = 16
STRONG = 3
# No loader has to recognise them: smaller still than the tiny models.
_TINY_SDXL = {
    **SDXL_UNET,
    "model_channels": 64,
    "transformer_depth": [0, 0, 1, 1, 1, 1],
}
_TINY_FLUX = {**FLUX_DIT, "depth": 1, "depth_single_blocks": 2}

Lora = Mapping[str, torch.Tensor]


def sdxl(rehearse: bool) -> Case:
    """The whole SDXL at 1024 x 1024."""
    case = models.GPU_CASES["sdxl"]
    if rehearse:
        return _tiny(case, _TINY_SDXL, (77, 2048, 1280))
    return replace(case, evaluations=6, rounds=3)


def flux(rehearse: bool) -> Case:
    """FLUX's whole shape at 1024 x 1024."""
    case = models.GPU_CASES["flux"]
    if rehearse:
        return _tiny(case, _TINY_FLUX, (16, 256, 768))
    return replace(case, evaluations=6, rounds=2)


def flux_shallow(rehearse: bool) -> Case:
    """FLUX's layers at full width, 2 double blocks of 19 and 4 single ones of 38: soon compiled."""
    case = flux(rehearse)
    if rehearse:
        return case
    return replace(case, config={**case.config, "depth": 2, "depth_single_blocks": 4})


def small(case: Case, side: int) -> Case:
    """The same model on a latent of ``side`` x ``side``."""
    return replace(case, latent=(case.latent[0], min(side, case.latent[1]), min(side, case.latent[2])))


def pair(model: Any, case: Case) -> tuple[Lora, Lora]:
    """Two LoRAs of all attention layers, strong enough to stand out from the noise of 16 bits."""

    def one(seed: int) -> Lora:
        lora = random_lora(model.model, RANK, seed, case.dtype)
        return {name: STRONG * t if "lora_B" in name else t for name, t in lora.items()}

    return one(1), one(2)


def _tiny(case: Case, config: Mapping[str, Any], conditioning: tuple[int, int, int]) -> Case:
    return replace(
        case,
        config=config,
        latent=(case.latent[0], 8, 8),
        conditioning=conditioning,
        dtype=torch.float32,
        evaluations=3,
        rounds=1,
    )


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The norm of the difference over that of what was expected."""
    found, expected = found.float(), expected.float()
    return float((found - expected).norm() / expected.norm())
