"""Plans read back from their documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import KLoraError, naming, printable
from .loras import LORA, LoraInfo
from .methods import METHODS, Entry
from .plan import SCHEMA, Note, Plan, PlanSlot
from .progress import Progress

_GIVE = "Give a file that `report --json` wrote"


def from_json(document: Mapping[str, Any], methods: Mapping[str, Entry] = METHODS) -> Plan:
    """The plan in a document, equal to the one that was written. Raises KLoraError for any other document."""
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, Mapping) else document
        raise KLoraError(f"not a {SCHEMA} document: its schema is {found!r}.", _GIVE)
    try:
        kind = document["method"]["name"]
        if kind not in methods:
            raise KLoraError(
                f"the document's method {kind!r} is not known.", "Use a newer version of this pack"
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
        raise KLoraError(f"the {SCHEMA} document is incomplete: {error!r}.", _GIVE) from error


def read(path: Path) -> tuple[Plan, int]:
    """The plan in a file, and the steps that it was written for.

    Raises KLoraError, with the file's name, for a file that can't be read or holds no plan.
    """
    with naming(printable(path.name)):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise KLoraError(f"can't be read ({error.strerror or error}).", "Check the path") from error
        except (ValueError, RecursionError) as error:
            raise KLoraError("is no JSON.", _GIVE) from error
        plan, steps = from_json(document), document.get("steps")
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
            raise KLoraError(f"the {SCHEMA} document is incomplete: its steps are {steps!r}.", _GIVE)
        return plan, steps


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
        lora.get("blocks", ""),
    )


def _notes(document: Mapping[str, Any]) -> tuple[Note, ...]:
    unapplied = set(document.get("not_applied", ()))
    return tuple(Note(text, i not in unapplied) for i, text in enumerate(document["notes"]))
