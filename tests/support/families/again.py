"""Tiny networks that the host can load a second time, as it can those of its own loaders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.support.families.inputs import FAMILIES
from tests.support.families.nets import patcher


def loadable(family: str, dtype: torch.dtype = torch.float32) -> Any:
    """A ModelPatcher of a family's network that tells how it is made."""
    made = patcher(family, dtype)
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
