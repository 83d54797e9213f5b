"""Two LoRAs and a model, no host: K-LoRA on the unet or transformer of any pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from . import files
from .deltas import LAYERS
from .files import TEXT_REASON
from .loras import STYLE, SUBJECT, LoraInfo
from .methods import Given, making
from .methods.klora import GAMMA_MODES, SCHEDULES
from .names import words_of
from .pipelines import Fusion, fit, layers_of
from .plan import OTHER_LAYERS, Note, make_plan
from .progress import MODES, Progress
from .report import left_out
from .scores import Request, Score, score

Source = str | Path | Mapping[str, Tensor]
_ROLES = (SUBJECT, STYLE)
_NO_TEXT = f"{TEXT_REASON}; load them with the pipeline's own loader if you want them"


def fuse(
    model: nn.Module,
    subject: Source,
    style: Source,
    *,
    subject_strength: float = 1.0,
    style_strength: float = 1.0,
    balance: float = 0.0,
    schedule: str = SCHEDULES[0],
    alpha: float | None = None,
    beta: float | None = None,
    gamma: str = GAMMA_MODES[0],
    layers: str = LAYERS[0],
    other_layers: str = OTHER_LAYERS[0],
    progress: str = MODES[0],
) -> Fusion:
    """A subject and a style LoRA fused by K-LoRA (arXiv 2502.18461) on ``model``.

    ``model`` is a pipeline's unet or transformer; ``subject`` and ``style`` are LoRA files, or tensors by the
    names that a file gives them. The settings are the node's, see docs/diffusers.md. Nothing is on the model
    until :meth:`Fusion.run`. Raises KLoraError, one line with file, layer and remedy, for what does not fit.
    """
    make = making.klora(schedule, alpha, beta, balance, gamma, layers)
    there = layers_of(model)
    loras = [
        fit(_read(source, role), there, model) for source, role in zip((subject, style), _ROLES, strict=True)
    ]
    names, strengths = tuple(lora.name for lora in loras), (subject_strength, style_strength)
    slots = tuple(lora.slots for lora in loras)
    rows, method = make(Given(slots, _ROLES, names, lambda requests: _score(requests, model)))
    plan = make_plan(
        rows,
        [
            LoraInfo(lora.name, role, strength=strength, base=words_of(lora.base_model))
            for lora, role, strength in zip(loras, _ROLES, strengths, strict=True)
        ],
        method,
        Progress(progress),
        other_layers,
        [note for role, lora in zip(_ROLES, loras, strict=True) for note in _notes(role, lora)],
    )
    return Fusion(model, plan, rows, there)


def _read(source: Source, role: str) -> files.LoraFile:
    if isinstance(source, Mapping):
        return files.from_tensors(role, source, for_model=True)
    return files.read(source, for_model=True)


def _score(requests: Sequence[Request], model: nn.Module) -> list[Score]:
    """By the model's own device, unless it is offloaded."""
    device = next(model.parameters()).device
    return score(requests, device if device.type in ("cuda", "mps") else "cpu")


def _notes(role: str, lora: files.LoraFile) -> list[Note]:
    """A sentence for each kind of thing that a LoRA holds beside its slots."""
    done = [Note(f"{role}: {note}.") for note in lora.notes]
    return [*done, *left_out(role, lora.left, text_reason=_NO_TEXT)]
