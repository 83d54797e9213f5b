"""The plan as the page gets it, in two parts: a run's settings, and what belongs to its LoRAs on the model.

A server keeps what its nodes showed for thousands of runs. So a run sends its settings alone, which name the
other part, the set, by its content; runs that differ in what a method sets have the same set, where the page
can follow that method, and a page asks for it once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from .. import palette
from ..loras import STYLE, SUBJECT
from ..names import block, depth_key
from ..plan import Plan, choice_words, head

SET_SCHEMA = "klora-slots/1"
# Then they repeat.
_COLOURS = 8
# Of the head of a plan's document. ``loras`` says what the keys of single roles say.
_OF_THE_LORAS = (SUBJECT, STYLE, "candidates", "unmatched", "notes", "not_applied", "warnings")


class ForPage(NamedTuple):
    """What the page gets: ``settings``, JSON types, whose ``set`` is ``name``; and that set's JSON."""

    settings: dict[str, Any]
    name: str
    content: bytes


def for_page(plan: Plan, steps: int, silent: Sequence[Collection[str]] = ()) -> ForPage:
    """Both parts; where the page knows no steps of a run, it divides the run into ``steps`` columns.

    Of the slots there is what the page needs and can't work out, every number as exact as it is here.
    ``silent`` names, for each LoRA, the slots that its blocks leave it nothing in: a page on which a person
    paints blocks shows them too, so that what was taken can be given back.
    """
    columns = plan.progress.of_steps(steps)
    whole = head(plan, columns)
    slots: list[dict[str, Any]] = []
    for i, slot in enumerate(plan.slots):
        own = plan.method.page_json(i, plan.labels)
        slots.append({"name": slot.name, "block": slot.block, "group": slot.group, **own})
    if not plan.method.live:
        for entry, word in zip(slots, choice_words(plan, columns), strict=True):
            entry["choice"] = word
    if plan.method.follows_when:
        slots = _with_silent(slots, silent[: len(plan.taking_part)])
    parts = {**_of_the_loras(plan, steps, whole), "columns": _columns(slots)}
    content = json.dumps(parts, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    name = hashlib.blake2b(content, digest_size=16).hexdigest()
    settings = {key: value for key, value in whole.items() if key not in _OF_THE_LORAS}
    settings["loras"] = [{key: lora[key] for key in lora if key != "alone"} for lora in whole["loras"]]
    return ForPage({**settings, "set": name}, name, content)


def _with_silent(slots: list[dict[str, Any]], silent: Sequence[Collection[str]]) -> list[dict[str, Any]]:
    """The slots, and those where nobody is left, by depth; ``silent`` says who could be there."""
    if not any(silent):
        return slots
    weights = [{name.partition("[")[0] for name in names} for names in silent]
    there = {slot["name"].partition("[")[0] for slot in slots}
    more = {name for names in silent for name in names if name.partition("[")[0] not in there}
    found = [*slots, *map(_nobodys, more)]
    for slot in found:
        own = slot["name"].partition("[")[0]
        slot["silent"] = [i for i, of in enumerate(weights) if own in of and i not in slot["there"]]
    return sorted(found, key=lambda slot: depth_key(slot["name"]))


def _nobodys(name: str) -> dict[str, Any]:
    group, own = block(name)
    return {"name": name, "block": own, "group": group, "there": []}


def _of_the_loras(plan: Plan, steps: int, head: Mapping[str, Any]) -> dict[str, Any]:
    """What the method's dials leave alone, beside the slots: names (maybe many), long words, constants."""
    colours = palette.shaded(plan.colour_places, plan.method.depths())
    # What is in one family has one place in the legend.
    of = [{"family": family} for family in plan.families] if plan.families != plan.candidates else None
    return {
        "schema": SET_SCHEMA,
        "candidates": [
            {**candidate, "dark": dark, "light": light, **(of[i] if of else {})}
            for i, (candidate, (dark, light)) in enumerate(zip(head["candidates"], colours, strict=True))
        ],
        "unmatched": {label: list(lora.alone) for label, lora in zip(plan.labels, plan.loras, strict=True)},
        "notes": head["notes"],
        "warnings": head["warnings"],
        "page": {
            "palette": palette.THEMES,
            "defaults": plan.method.defaults(),
            "steps": steps,
            "said": [*plan.not_applied, *plan.warnings],
            **(_for_painting(plan) if plan.method.follows_when else {}),
        },
    }


def _for_painting(plan: Plan) -> dict[str, Any]:
    """What a map of single LoRAs takes, and of more of them together than the run had."""
    return {
        "labels": list(plan.taking_part),
        "colours": [list(pair) for pair in palette.candidates(_COLOURS)],
    }


def _columns(slots: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each key's values over the slots."""
    return {key: _column([slot[key] for slot in slots]) for key in (slots[0] if slots else ())}


def _column(values: Sequence[Any]) -> Any:
    """The values; where they repeat, each value once and how often which one follows."""
    keys = [tuple(value) if isinstance(value, list) else value for value in values]
    found = dict(zip(keys, values, strict=True))
    if 2 * len(found) > len(values):
        return values
    at = {key: i for i, key in enumerate(found)}
    runs = [[at[key], sum(1 for _ in run)] for key, run in groupby(keys)]
    return {"values": list(found.values()), "runs": runs}
