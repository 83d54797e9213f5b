"""The plan: which candidate a slot uses at which moment. Plain data; all that is shown is drawn from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import document
from .deltas import LORA, Delta
from .errors import KLoraError
from .method import Method
from .order import block
from .pairing import Rows
from .progress import Columns, Moment, Progress
from .roles import OTHER, labels_of

OTHER_LAYERS = KEEP, DROP = ("keep", "drop")


@dataclass(frozen=True)
class LoraInfo:
    """A LoRA of the plan. ``slots`` counts what it changes in the diffusion model.

    ``alone`` names the slots among these that do not compete; ``kind`` is what most of them are (``LoHa``),
    ``base`` the base model that it was trained on, where its file tells.
    """

    name: str
    role: str
    slots: int = 0
    strength: float = 1.0
    alone: tuple[str, ...] = ()
    kind: str = LORA
    base: str | None = None


@dataclass(frozen=True)
class PlanSlot:
    """A competing slot; ``shape`` is [out, in] of dW, kernels flattened into ``in``."""

    name: str
    shape: tuple[int, int]

    @property
    def group(self) -> str:
        """The stage of the network: ``down``."""
        return block(self.name)[0]

    @property
    def block(self) -> str:
        """The block of that stage: ``down 4``."""
        return block(self.name)[1]


@dataclass(frozen=True)
class Plan:
    """All that decides what the model does: the equation in words is the method's, its numbers are here.

    LoRAs of the role ``other`` come last: they compete nowhere and work throughout.
    ``candidates`` are the labels of what a slot may use; ``other_layers`` says whether each LoRA's slots
    that do not compete are applied (``keep``) or not (``drop``); ``notes`` are sentences for the report,
    ``warnings`` such as a person should see first.
    """

    loras: tuple[LoraInfo, ...]
    slots: tuple[PlanSlot, ...]
    candidates: tuple[str, ...]
    method: Method
    progress: Progress = field(default_factory=Progress)
    other_layers: str = KEEP
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.other_layers not in OTHER_LAYERS:
            raise KLoraError(
                f"Unknown choice for other layers {self.other_layers!r}: {' or '.join(OTHER_LAYERS)}."
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """What the LoRAs are called: ``subject``, ``style``, ``style 2``."""
        return labels_of([lora.role for lora in self.loras])

    def keeps(self, lora: LoraInfo) -> bool:
        """Whether the slots of a LoRA that do not compete are applied."""
        return self.other_layers == KEEP or lora.role == OTHER

    def first(self, role: str) -> LoraInfo | None:
        """The first LoRA of a role."""
        return next((lora for lora in self.loras if lora.role == role), None)

    def who(self, moment: Moment) -> np.ndarray:
        """The candidate of each slot in each pass, int8 [passes, slots]; -1 for nobody."""
        return self.method.who(moment)

    def choices(self, columns: Columns) -> np.ndarray:
        """Who works where and when, int8 [passes, slots, columns]."""
        return np.stack([self.who(moment) for moment in columns.moments], axis=-1)

    def shares(self, columns: Columns) -> np.ndarray:
        """The share of the slots that use each candidate, float64 [candidates, columns], the passes' mean."""
        chosen = self.choices(columns)
        if not chosen.size:
            return np.zeros((len(self.candidates), len(columns)))
        return np.stack([(chosen == c).mean(axis=(0, 1)) for c in range(len(self.candidates))])

    def to_json(self, steps: int) -> dict[str, Any]:
        """The plan as a ``klora-plan/1`` document, see :func:`document.to_json`."""
        return document.to_json(self, steps)

    def dumps(self, steps: int) -> str:
        """:meth:`to_json` as text, byte for byte the same for equal plans."""
        return document.dumps(self, steps)


def make_plan(
    rows: Rows,
    loras: Sequence[LoraInfo],
    method: Method,
    progress: Progress | None = None,
    other_layers: str = KEEP,
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Plan:
    """The plan of a method over ``rows``; of ``loras`` name, role and strength count, the rest is filled in.

    Raises KLoraError for another ``other_layers``, ValueError where LoRAs of the role ``other`` are not last.
    """
    labels = labels_of([lora.role for lora in loras])
    competing = [label for label, lora in zip(labels, loras, strict=True) if lora.role != OTHER]
    if labels[: len(competing)] != tuple(competing):
        raise ValueError("LoRAs of the role other come last")
    infos = tuple(
        LoraInfo(
            lora.name,
            lora.role,
            sum(row.deltas[i] is not None for row in rows.competing) + len(rows.alone[i]),
            lora.strength,
            tuple(slot.name for slot in rows.alone[i]),
            _kind([row.deltas[i] for row in rows.competing]),
            lora.base,
        )
        for i, lora in enumerate(loras)
    )
    return Plan(
        infos,
        tuple(PlanSlot(row.slot.name, row.shape) for row in rows.competing),
        method.labels(competing),
        method,
        progress or Progress(),
        other_layers,
        tuple(notes),
        tuple(warnings),
    )


def _kind(deltas: Sequence[Delta | None]) -> str:
    found = Counter(delta.kind for delta in deltas if delta is not None)
    return found.most_common(1)[0][0] if found else LORA
