"""A survey as a ``klora-folder/1`` document: JSON types alone, no inf and no NaN."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from ...names import words_of
from ..klora import KLora
from .pairs import PERCENTILES, Apart, FileInfo, Pair, Survey, Way

SCHEMA = "klora-folder/1"


def to_json(survey: Survey) -> dict[str, Any]:
    """Files by name; a pair's ``ways`` are its first file as the subject, then its second."""
    names, settings = [file.name for file in survey.files], survey.settings
    return {
        "schema": SCHEMA,
        "method": {"name": KLora.name, "paper": KLora.paper},
        "steps": len(survey.columns),
        "schedule": asdict(settings.schedule),
        "gamma": settings.gamma,
        "layers": settings.layers,
        "score": settings.score,
        "files": [_file(file) for file in survey.files],
        "pairs": [_pair(pair, names) for pair in survey.pairs],
        "apart": [_apart(pair, names) for pair in survey.apart],
        "refused": list(survey.refused),
        "notes": list(survey.notes),
    }


def dumps(survey: Survey) -> str:
    """:func:`to_json` as text, byte for byte the same for equal surveys."""
    return json.dumps(to_json(survey), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _file(file: FileInfo) -> dict[str, Any]:
    return {
        "name": file.name,
        "base": words_of(file.base),
        "layers": file.layers,
        "ranks": list(file.ranks),
    }


def _pair(pair: Pair, names: list[str]) -> dict[str, Any]:
    return {
        "files": [names[pair.one], names[pair.other]],
        "layers": pair.layers,
        "spread": _finite(pair.spread),
        "overlap": pair.overlap,
        "ways": [_way(way, names) for way in pair.ways],
    }


def _way(way: Way, names: list[str]) -> dict[str, Any]:
    found = way.handover
    return {
        "subject": names[way.subject],
        "style": names[way.style],
        "gamma": _finite(way.gamma),
        "rho": {str(percent): _finite(value) for percent, value in zip(PERCENTILES, way.rho, strict=True)},
        "style_share": way.share,
        "takes_over": {"first": found.first, "half": found.half, "last": found.last, "at_end": found.at_end},
        "one_change": found.change._asdict(),
        "balance_for_half": way.even,
        "likely_hurt": way.likely_hurt,
    }


def _apart(pair: Apart, names: list[str]) -> dict[str, Any]:
    return {"files": [names[pair.one], names[pair.other]], "reason": pair.reason}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
