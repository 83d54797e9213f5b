"""The ways to run two LoRAs that are compared, each as a patched model. Needs the host."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import comfy.sample
import comfy.sd
import torch

from tools.host.inprocess import load_pack

from .literal import Literal
from .models import Case, attention_layers, conditioning

BARE = "bare model"
BAKED = "core's LoRA loader, both LoRAs (baked)"
BYPASS_ONE = "core's bypass loader, one LoRA"
OURS = "K-LoRA Fuse"
LITERAL = "K-LoRA, the algorithm as published"

Lora = Mapping[str, torch.Tensor]


def _nodes() -> ModuleType:
    return importlib.import_module(f"{load_pack().__name__}.nodes")


def composed(model: Any, subject: Lora, style: Lora, method: Any) -> Any:
    """Compose LoRAs with ``method``, of a subject and a style from LoRA Set."""
    found = None
    for lora, role in ((subject, "subject"), (style, "style")):
        found = _nodes().KLoRASet.execute(1.0, role, lora=dict(lora), set=found).result[0]
    return _nodes().KLoRACompose.execute(model, found, method).result[0]


def fused(model: Any, subject: Lora, style: Lora) -> Any:
    """K-LoRA Fuse with the defaults of its schema."""
    return (
        _nodes()
        .KLoRAFuse.execute(
            model,
            subject,
            style,
            subject_strength=1.0,
            style_strength=1.0,
            balance=0.0,
            schedule={"schedule": "s", "alpha": 1.5, "beta": 0.5},
        )
        .result[0]
    )


def literal(case: Case, model: Any, subject: Lora, style: Lora, evaluations: int) -> Any:
    """The algorithm as published, for runs of ``evaluations`` evaluations."""
    layers = attention_layers(model.model)
    return Literal(layers, (subject, style), model.load_device, case.dtype).apply(model, evaluations)


def contenders(case: Case, model: Any, subject: Lora, style: Lora) -> dict[str, Any]:
    """The ways that need no clocks of their own, by name, on clones of ``model``."""
    return {
        BARE: model.clone(),
        BAKED: _baked(_baked(model, subject), style),
    }


def _baked(model: Any, lora: Lora) -> Any:
    return comfy.sd.load_lora_for_models(model, None, dict(lora), 1.0, 0)[0]


def bypass(model: Any, lora: Lora) -> Any:
    """Core's bypass loader with one LoRA."""
    return comfy.sd.load_bypass_lora_for_models(model, None, dict(lora), 1.0, 0)[0]


def run(case: Case, model: Any, evaluations: int) -> torch.Tensor:
    """Euler for ``evaluations`` steps from fixed noise; the final latent."""
    text = conditioning(case)
    latent = torch.zeros(1, *case.latent)
    return comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(latent, 7),
        evaluations,
        case.cfg,
        "euler",
        case.scheduler,
        text,
        text,
        latent,
        disable_pbar=True,
        seed=7,
    )
