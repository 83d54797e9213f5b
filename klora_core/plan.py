"""The plan: which candidate a slot uses at which moment. Plain data; all that is shown is drawn from it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from string import ascii_uppercase, digits
from typing import Any

import numpy as np

from .deltas import Delta, Rows
from .errors import KLoraError
from .loras import LORA, OTHER, STYLE, SUBJECT, LoraInfo, labels_of
from .methods import Method
from .names import block, strengths_of
from .progress import Columns, Moment, Progress

OTHER_LAYERS = KEEP, DROP = ("keep", "drop")
SCHEMA = "klora-plan/1"
_LETTERS = "csabdefghijklmnopqrtuvwxyz" + ascii_uppercase + digits
_NOBODY = "-"


@dataclass(frozen=True)
class Note:
    """A sentence about what a LoRA holds beside its slots; ``applied``: whether that acts on the model."""

    text: str
    applied: bool = True


@dataclass(frozen=True)
class PlanSlot:
    """A competing slot; ``shape`` is [out, in] of dW, kernels flattened into ``in``."""

    name: str
    shape: tuple[int, int]

    @cached_property
    def place(self) -> tuple[str, str]:
        """The stage of the network and the block of that stage: ``("down", "down 4")``."""
        return block(self.name)

    @property
    def group(self) -> str:
        return self.place[0]

    @property
    def block(self) -> str:
        return self.place[1]


@dataclass(frozen=True)
class Plan:
    """All that decides what the model does: the equation in words is the method's, its numbers are here.

    LoRAs of the role ``other`` come last: they compete nowhere and work throughout.
    ``candidates`` are the labels of what a slot may use; ``other_layers`` says whether each LoRA's slots
    that do not compete are applied (``keep``) or not (``drop``); ``notes`` are for the report,
    ``warnings`` sentences that a person should see first.
    """

    loras: tuple[LoraInfo, ...]
    slots: tuple[PlanSlot, ...]
    candidates: tuple[str, ...]
    method: Method
    progress: Progress = field(default_factory=Progress)
    other_layers: str = KEEP
    notes: tuple[Note, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.other_layers not in OTHER_LAYERS:
            raise KLoraError(
                f"unknown choice for other layers {self.other_layers!r}.", f"Use {' or '.join(OTHER_LAYERS)}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """What the LoRAs are called: ``subject``, ``style``, ``style 2``."""
        return labels_of([lora.role for lora in self.loras])

    def keeps(self, lora: LoraInfo) -> bool:
        """Whether the slots of a LoRA that do not compete are applied."""
        return self.other_layers == KEEP or lora.role == OTHER

    def strength(self, lora: int, slot: str) -> float:
        """How strongly a LoRA, by its number, works in a slot where and when it works."""
        info = self.loras[lora]
        return info.strength * strengths_of(info.blocks).of(slot)

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
        mixed = self.method.mixed(columns)
        if mixed is not None and mixed.size:
            return mixed.mean(axis=1)
        chosen = self.choices(columns)
        if not chosen.size:
            return np.zeros((len(self.candidates), len(columns)))
        return np.stack([(chosen == c).mean(axis=(0, 1)) for c in range(len(self.candidates))])

    @property
    def taking_part(self) -> tuple[str, ...]:
        """What the LoRAs are called that the method chooses from."""
        return tuple(label for label, lora in zip(self.labels, self.loras, strict=True) if lora.role != OTHER)

    @cached_property
    def families(self) -> tuple[str, ...]:
        """What each candidate is called together with others of its kind."""
        return self.method.families(self.taking_part) or self.candidates

    @cached_property
    def family_names(self) -> tuple[str, ...]:
        """Each of them once."""
        return tuple(dict.fromkeys(self.families))

    @cached_property
    def family_places(self) -> tuple[int, ...]:
        """A place among the colours for each of them: a LoRA alone has its own, whatever else there is."""
        further = len(self.taking_part)
        own = {label: place for place, label in enumerate(self.taking_part)}
        more = [name for name in self.family_names if name not in own]
        return tuple(own[n] if n in own else further + more.index(n) for n in self.family_names)

    @property
    def colour_places(self) -> tuple[int, ...]:
        """The same for each candidate."""
        return tuple(self.family_places[self.family_names.index(family)] for family in self.families)

    def family_shares(self, columns: Columns) -> np.ndarray:
        """:meth:`shares` of each family's candidates together, float64 [families, columns]."""
        shares = self.shares(columns)
        found = np.zeros((len(self.family_names), len(columns)))
        for share, family in zip(shares, self.families, strict=True):
            found[self.family_names.index(family)] += share
        return found

    @property
    def not_applied(self) -> tuple[str, ...]:
        """The sentences about what is not applied."""
        return tuple(note.text for note in self.notes if not note.applied)

    def to_json(self, steps: int) -> dict[str, Any]:
        """The plan as a ``klora-plan/1`` document; ``choice`` of a slot has one letter for each column.

        Columns are the ``steps`` of a whole run, or equal parts of the progress where that is by noise level.
        inf and NaN become null. Raises KLoraError for ``steps`` < 1.
        """
        columns = self.progress.of_steps(steps)
        words = choice_words(self, columns)
        slots = [
            {
                **{"name": slot.name, "shape": list(slot.shape), "block": slot.block, "group": slot.group},
                **self.method.slot_json(i, self.labels),
                "choice": words[i],
            }
            for i, slot in enumerate(self.slots)
        ]
        return {**head(self, columns), "slots": slots}

    def dumps(self, steps: int) -> str:
        """:meth:`to_json` as text, byte for byte the same for equal plans."""
        return json.dumps(self.to_json(steps), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def make_plan(
    rows: Rows,
    loras: Sequence[LoraInfo],
    method: Method,
    progress: Progress | None = None,
    other_layers: str = KEEP,
    notes: Sequence[Note] = (),
    warnings: Sequence[str] = (),
) -> Plan:
    """The plan of a method over ``rows``; of ``loras`` all but name, role, strength and blocks is filled in.

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
            lora.blocks,
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


def head(plan: Plan, columns: Columns) -> dict[str, Any]:
    """The document without its slots."""
    unapplied = [i for i, note in enumerate(plan.notes) if not note.applied]
    first = {role: plan.first(role) for role in (SUBJECT, STYLE)}
    return {
        "schema": SCHEMA,
        "method": {
            "name": plan.method.name,
            "paper": plan.method.paper,
            "live": plan.method.live,
            "counts_steps": plan.method.counts_steps,
        },
        **{role: _info(lora) for role, lora in first.items() if lora},
        **plan.method.to_json(),
        "progress": {"mode": plan.progress.mode},
        "steps": len(columns),
        "passes": len(plan.method.weights(columns.moments[0])),
        "loras": [
            {
                **_info(lora),
                "role": lora.role,
                **({} if lora in first.values() else {"alone": list(lora.alone)}),
            }
            for lora in plan.loras
        ],
        "candidates": [
            {"label": label, "letter": letter}
            for label, letter in zip(plan.candidates, _LETTERS, strict=False)
        ],
        "facts": [" ".join(filter(None, (fact.label, fact.value))) for fact in plan.method.facts()],
        "other_layers": plan.other_layers,
        "unmatched": {role: list(lora.alone) for role, lora in first.items() if lora},
        "notes": [note.text for note in plan.notes],
        **({"not_applied": unapplied} if unapplied else {}),
        "warnings": list(plan.warnings),
    }


def _info(info: LoraInfo) -> dict[str, Any]:
    kind = {} if info.kind == LORA else {"kind": info.kind}
    base = {} if info.base is None else {"base": info.base}
    blocks = {"blocks": info.blocks} if info.blocks else {}
    return {"name": info.name, "slots": info.slots, "strength": info.strength, **kind, **base, **blocks}


def choice_words(plan: Plan, columns: Columns) -> list[str]:
    """One word a slot, a letter a column; several passes are joined by a slash."""
    alphabet = np.array(list(_NOBODY + _LETTERS))
    letters = alphabet[plan.choices(columns).astype(np.int64) + 1]
    return ["/".join("".join(word) for word in passes) for passes in letters.transpose(1, 0, 2)]
