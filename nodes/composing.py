"""LoRAs and a method onto MODEL and CLIP: what every composing node does."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from comfy_api.latest import io

from ..klora_core import report
from ..klora_core.deltas import Deltas
from ..klora_core.digest import Seen, once
from ..klora_core.errors import KLoraError
from ..klora_core.kept import Kept
from ..klora_core.method import Method
from ..klora_core.page_document import for_page
from ..klora_core.pairing import Rows
from ..klora_core.plan import LoraInfo, Plan, make_plan
from ..klora_core.progress import Progress, in_steps, over_progress
from ..klora_core.roles import OTHER, labels_of
from . import apply, lora_slots, page_sets, warnings
from .levels import levels_of
from .lora_notes import notes
from .lora_slots import HostLora

T = TypeVar("T")
KLoraPlan = io.Custom("KLORA_PLAN")

COLUMNS = 30
OTHER_LAYERS_TOOLTIP = (
    "What happens to layers that do not compete. keep: each LoRA is applied there as usual. drop: no LoRA is."
)
PROGRESS_TOOLTIP = (
    "auto: by steps where a run goes from pure noise to the finished image, by noise level "
    "where it is a part of that (img2img, several samplers in a row). steps: always counted "
    "within each run, as in the paper. noise level: always read off the noise."
)


def outputs(model: str, which: str) -> list[io.Output]:
    """What :func:`compose` gives; ``model`` tells what its model is, ``which`` whose text parts clip has."""
    return [
        io.Model.Output("model", tooltip=model),
        io.Clip.Output(
            "clip", tooltip=f"The text encoder with {which} LoRAs' text parts at their strengths."
        ),
        KLoraPlan.Output("plan", tooltip="What was decided, for K-LoRA Selection Map."),
        io.String.Output("report", tooltip="The decisions in words."),
    ]


@dataclass(frozen=True, eq=False)
class Member:
    """A LoRA of a composition: its tensors, what to call it, and its part in it."""

    tensors: dict
    name: str
    role: str
    strength: float = 1.0
    clip_strength: float | None = None
    """That of its text-encoder part; None, the same."""

    @property
    def on_clip(self) -> float:
        return self.strength if self.clip_strength is None else self.clip_strength


@dataclass(frozen=True, eq=False)
class Found:
    """The LoRAs of a composition as the model's slots, those of the role ``other`` last.

    ``known`` is what was worked out of these very LoRAs, under these roles and names, before.
    """

    slots: tuple[Deltas, ...]
    roles: tuple[str, ...]
    names: tuple[str, ...]
    known: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once for these LoRAs; nothing but them and ``key`` may decide on it."""
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]

    @property
    def competitors(self) -> int:
        """How many take part in the method."""
        return sum(role != OTHER for role in self.roles)


@dataclass(frozen=True, eq=False)
class _Known:
    """Of LoRAs together, their contents as they were read: digests, and what methods work out."""

    seen: Seen = field(default_factory=dict)
    made: dict[Hashable, Any] = field(default_factory=dict)


# Turning a dial works nothing of this out again. They go with the LoRAs.
_sets: Kept[_Known] = Kept(16)

Make = Callable[[Found], tuple[Rows, Method]]


def compose(
    model: Any,
    clip: Any | None,
    members: Sequence[Member],
    make: Make,
    other_layers: str,
    progress: str,
    node: str | None,
) -> io.NodeOutput:
    """The outputs of a composing node: model, clip, plan and report. Raises KLoraError.

    ``make`` says which rows compete and by which method; ``node`` is the execution id of the node.
    """
    members = sorted(members, key=lambda member: member.role == OTHER)
    roles = tuple(member.role for member in members)
    names = tuple(member.name for member in members)
    loras = [lora_slots.read(member.tensors, member.name, model, clip) for member in members]
    known = _sets.of(loras, (roles, names), _Known)
    with once(known.seen):
        return _composed(model, clip, members, loras, known, make, other_layers, progress, node)


def _composed(
    model: Any,
    clip: Any | None,
    members: Sequence[Member],
    loras: Sequence[HostLora],
    known: _Known,
    make: Make,
    other_layers: str,
    progress: str,
    node: str | None,
) -> io.NodeOutput:
    roles = tuple(member.role for member in members)
    names = tuple(member.name for member in members)
    labels = labels_of(roles)
    rows, method = make(Found(tuple(lora.slots for lora in loras), roles, names, known.made))
    infos = [
        LoraInfo(member.name, member.role, strength=member.strength, base=lora.base)
        for member, lora in zip(members, loras, strict=True)
    ]
    plan = make_plan(
        rows,
        infos,
        method,
        Progress(progress, levels_of(model.get_model_object("model_sampling"))),
        other_layers,
        [
            line
            for label, lora, member, info in zip(labels, loras, members, infos, strict=True)
            for line in notes(
                label,
                lora,
                member.strength,
                keep=other_layers == "keep" or info.role == OTHER,
                clip=clip is not None,
                clip_strength=member.on_clip,
            )
        ],
        warnings.of(model, loras, names, labels),
    )
    return io.NodeOutput(
        apply.to_model(model, plan, rows, loras, node),
        apply.to_clip(clip, loras, [member.on_clip for member in members]),
        plan,
        f"{_report(plan)}\n\n{warnings.NOT_SAVED}",
        ui={"klora": [page_sets.keep(for_page(plan, COLUMNS), plan)]},
    )


def _report(plan: Plan) -> str:
    if not plan.method.counts_steps:
        return report.text(plan, over_progress(COLUMNS))
    said = report.text(plan, in_steps(COLUMNS))
    return f"{said}\n\nThe steps are those of a run of {COLUMNS}: each run counts its own."


def check_finite(name: str, value: Any) -> None:
    """Raise KLoraError unless ``value`` is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise KLoraError(f"{name} must be a finite number, got {value!r}: give a number such as 1.")
