"""Two LoRAs and a model, no host: K-LoRA on the unet or transformer of any pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from . import files
from .account import NOT_APPLIED, What, grouped
from .apply.fitting import fit
from .apply.places import places
from .apply.run import Fusion
from .methods.klora import GAMMA_MODES, SCHEDULES, KLora, make_schedule
from .methods.klora_scores import evidence_of
from .pairing import LAYERS, meet
from .plan import OTHER_LAYERS, LoraInfo, make_plan
from .progress import MODES, Progress
from .report import abbreviated
from .roles import STYLE, SUBJECT
from .scoring import Request, Score, score

Source = str | Path | Mapping[str, Tensor]
_ROLES = (SUBJECT, STYLE)
_NO_TEXT = "load them with the pipeline's own loader if you want them"


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
    curve = make_schedule(schedule, alpha, beta, balance)
    there = places(model)
    loras = [
        fit(_read(source, role), there, model) for source, role in zip((subject, style), _ROLES, strict=True)
    ]
    names, strengths = [lora.name for lora in loras], (subject_strength, style_strength)
    rows = meet([lora.slots for lora in loras], _ROLES, layers)
    evidence = evidence_of(rows.competing, _ROLES, lambda requests: _score(requests, model), names)
    plan = make_plan(
        rows,
        [
            LoraInfo(lora.name, role, strength=strength, base=lora.base)
            for lora, role, strength in zip(loras, _ROLES, strengths, strict=True)
        ],
        KLora(curve, gamma, _ROLES, evidence),
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


def _notes(role: str, lora: files.LoraFile) -> list[str]:
    """A sentence for each kind of thing that a LoRA holds and that is not applied."""
    lines = [f"{role}: {note}." for note in lora.notes]
    for (what, reason), names in grouped(lora.left).items():
        number = f"{len(names)} {what.value}{'' if len(names) == 1 else 's'}"
        why = f"K-LoRA concerns the diffusion model alone; {_NO_TEXT}" if what is What.TEXT else reason
        lines.append(f"{role}: {number}, {NOT_APPLIED}: {why}: {abbreviated(names)}")
    return lines
