"""Tiny networks that the host can load a second time, as it can those of its own loaders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.support.families.by_hand import NARROW
from tests.support.families.inputs import FAMILIES
from tests.support.families.nets import patcher
from tools.tiny.architectures import SD15_UNET

# UNets with each kind of their layers, and no deeper than that: every step runs each block three times.
_SHALLOW = NARROW | {"sd15": SD15_UNET | {"model_channels": 32}}


def loadable(family: str, dtype: torch.dtype = torch.float32) -> Any:
    """A ModelPatcher of a family's network that tells how it is made."""
    made = patcher(family, dtype, **_SHALLOW.get(family, {}))
    made.cached_patcher_init = (_again, (family, dtype))
    return made


def _again(family: str, dtype: torch.dtype, disable_dynamic: bool = False) -> Any:
    return loadable(family, dtype)


def latent(model: Any, family: str, seed: int = 1) -> Tensor:
    """A latent [1, ...] as the network sees it."""
    form = model.model.latent_format
    frames = (1,) if form.latent_dimensions == 3 else ()
    shape = (1, form.latent_channels, *frames, *FAMILIES[family].size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
