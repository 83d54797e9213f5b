"""Plans read back from their documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import KLoraError
from .loras import LORA, LoraInfo
from .methods import METHODS, Entry
from .plan import SCHEMA, Note, Plan, PlanSlot
from .progress import Progress


def from_json(document: Mapping[str, Any], methods: Mapping[str, Entry] = METHODS) -> Plan:
    """The plan in a document, equal to the one that was written. Raises KLoraError for any other document."""
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, Mapping) else document
        raise KLoraError(f"Not a {SCHEMA} document: its schema is {found!r}.")
    try:
        kind = document["method"]["name"]
        if kind not in methods:
            raise KLoraError(
                f"The document's method {kind!r} is not known: use a newer version of this pack."
            )
        return Plan(
            loras=tuple(_lora_of(lora, document["unmatched"]) for lora in document["loras"]),
            slots=tuple(PlanSlot(slot["name"], tuple(slot["shape"])) for slot in document["slots"]),
            candidates=tuple(candidate["label"] for candidate in document["candidates"]),
            method=methods[kind].method.from_json(document),
            progress=Progress(document["progress"]["mode"]),
            other_layers=document["other_layers"],
            notes=_notes(document),
            warnings=tuple(document["warnings"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, KLoraError):
            raise
        raise KLoraError(f"The {SCHEMA} document is incomplete: {error!r}.") from error


def _lora_of(lora: Mapping[str, Any], unmatched: Mapping[str, Any]) -> LoraInfo:
    alone = lora["alone"] if "alone" in lora else unmatched[lora["role"]]
    return LoraInfo(
        lora["name"],
        lora["role"],
        lora["slots"],
        lora["strength"],
        tuple(alone),
        lora.get("kind", LORA),
        lora.get("base"),
    )


def _notes(document: Mapping[str, Any]) -> tuple[Note, ...]:
    unapplied = set(document.get("not_applied", ()))
    return tuple(Note(text, i not in unapplied) for i, text in enumerate(document["notes"]))
