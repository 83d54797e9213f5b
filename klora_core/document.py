"""The plan as the ``klora-plan/1`` document, for files and for the page; ``plan_file`` reads it back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from . import palette
from .account import NOT_APPLIED
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
    letters = _choices(plan, columns)
    slots = [
        {**_slot(slot), **plan.method.slot_json(i, plan.labels), "choice": letters[i]}
        for i, slot in enumerate(plan.slots)
    ]
    return {**_head(plan, columns), "slots": slots}


def dumps(plan: Plan, steps: int) -> str:
    """:func:`to_json` as text, byte for byte the same for equal plans."""
    return json.dumps(to_json(plan, steps), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def for_page(plan: Plan, steps: int) -> dict[str, Any]:
    """The page's document: of the slots what it needs and can't work out, and the colours.

    A server keeps what its nodes showed for thousands of runs: every number counts.
    """
    columns = plan.progress.of_steps(steps)
    slots: list[dict[str, Any]] = [
        {"name": slot.name, "block": slot.block, "group": slot.group, **plan.method.page_json(i, plan.labels)}
        for i, slot in enumerate(plan.slots)
    ]
    if not plan.method.live:
        for entry, letters in zip(slots, _choices(plan, columns), strict=True):
            entry["choice"] = letters
    head = _head(plan, columns)
    colours = palette.candidates(len(plan.candidates))
    for candidate, (dark, light) in zip(head["candidates"], colours, strict=True):
        candidate.update(dark=dark, light=light)
    page = {"palette": palette.THEMES, "defaults": plan.method.defaults(), "steps": steps}
    page["said"] = [*(note for note in plan.notes if NOT_APPLIED in note), *plan.warnings]
    return {**head, "page": page, "slots": slots}


def _head(plan: Plan, columns: Columns) -> dict[str, Any]:
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


def _choices(plan: Plan, columns: Columns) -> list[str]:
    """One word a slot, a letter a column; several passes are joined by a slash."""
    alphabet = np.array(list(_NOBODY + _LETTERS))
    letters = alphabet[plan.choices(columns).astype(np.int64) + 1]
    return ["/".join("".join(word) for word in passes) for passes in letters.transpose(1, 0, 2)]
