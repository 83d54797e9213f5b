"""The plan as the ``klora-plan/1`` document; ``plan_file`` reads it back, ``page_document`` is the page's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from .deltas import LORA
from .progress import Columns
from .roles import STYLE, SUBJECT

if TYPE_CHECKING:
    from .plan import LoraInfo, Plan, PlanSlot

SCHEMA = "klora-plan/1"
_LETTERS = "csabdefghijklmnopqrtuvwxyz"
_NOBODY = "-"


def to_json(plan: Plan, steps: int) -> dict[str, Any]:
    """The plan as a document; ``choice`` of a slot has one letter for each of ``steps`` columns.

    Columns are the steps of a whole run, or equal parts of the progress where that is by noise level. inf
    and NaN become null. Raises KLoraError for ``steps`` < 1.
    """
    columns = plan.progress.of_steps(steps)
    words = choice_words(plan, columns)
    slots = [
        {**_slot(slot), **plan.method.slot_json(i, plan.labels), "choice": words[i]}
        for i, slot in enumerate(plan.slots)
    ]
    return {**head(plan, columns), "slots": slots}


def dumps(plan: Plan, steps: int) -> str:
    """:func:`to_json` as text, byte for byte the same for equal plans."""
    return json.dumps(to_json(plan, steps), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def head(plan: Plan, columns: Columns) -> dict[str, Any]:
    """The document without its slots."""
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
        "notes": list(plan.notes),
        "warnings": list(plan.warnings),
    }


def _slot(slot: PlanSlot) -> dict[str, Any]:
    return {"name": slot.name, "shape": list(slot.shape), "block": slot.block, "group": slot.group}


def _info(info: LoraInfo) -> dict[str, Any]:
    kind = {} if info.kind == LORA else {"kind": info.kind}
    base = {} if info.base is None else {"base": info.base}
    return {"name": info.name, "slots": info.slots, "strength": info.strength, **kind, **base}


def choice_words(plan: Plan, columns: Columns) -> list[str]:
    """One word a slot, a letter a column; several passes are joined by a slash."""
    alphabet = np.array(list(_NOBODY + _LETTERS))
    letters = alphabet[plan.choices(columns).astype(np.int64) + 1]
    return ["/".join("".join(word) for word in passes) for passes in letters.transpose(1, 0, 2)]
