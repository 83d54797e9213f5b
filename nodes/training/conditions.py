"""A CONDITIONING as the network takes it, worked out once for each shape of latents."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import comfy.sampler_helpers
import comfy.samplers
import torch
from torch import Tensor

from ...klora_core.errors import KLoraError


class Conditions:
    """What a network is told by prompts, on its device; each is worked out once and kept as long as this."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model, self._device = model, device
        # The prompts themselves are held: no other can have their id meanwhile.
        self._known: dict[Hashable, tuple[Any, list[dict]]] = {}

    def of(self, condition: Sequence[Any], latent: Tensor) -> list[dict]:
        """The host's own form of ``condition`` for latents of the shape of ``latent`` [b, ...]."""
        key = id(condition), latent.shape[1:]
        if key not in self._known:
            self._known[key] = condition, self._made(condition, latent[:1])
        return self._known[key][1]

    def _made(self, condition: Sequence[Any], latent: Tensor) -> list[dict]:
        # No graph may hold tensors of inference mode, which encoders hand out.
        plain = [[_plain(entry[0]), {k: _plain(v) for k, v in entry[1].items()}] for entry in condition]
        with torch.no_grad():
            made = comfy.samplers.process_conds(
                self._model,
                torch.zeros_like(latent),
                {"positive": comfy.sampler_helpers.convert_cond(plain)},
                self._device,
                torch.zeros_like(latent),
                None,
                0,
            )
        return made["positive"]


def without_hooks(condition: Sequence[Any]) -> Sequence[Any]:
    """``condition``, a CONDITIONING. Raises KLoraError for one with hooks, such as of Create Hook LoRA: the
    host's sampler follows them, and nothing here would."""
    if any(entry[1].get("hooks") for entry in condition):
        raise KLoraError(
            "what hooks do while sampling can't be learned on.",
            "Connect prompts, or a text encoder, without hooks",
        )
    return condition


def _plain(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
