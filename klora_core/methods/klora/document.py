"""K-LoRA's part of a plan's document, written and read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...loras import labels_of
from .evidence import Evidence
from .schedule import Schedule


def head(
    schedule: Schedule, gamma_mode: str, gammas: Mapping[str, float], score: str, outside: float
) -> dict[str, Any]:
    """gamma (``gammas`` is it under each mode), the schedule, and what is not the paper's."""
    return {
        "gamma": {"mode": gamma_mode, "value": finite(gammas[gamma_mode])},
        "schedule": {
            "name": schedule.name,
            "alpha": schedule.alpha,
            "beta": schedule.beta,
            "balance": schedule.balance,
        },
        "gammas": {mode: finite(value) for mode, value in gammas.items()},
        "score": score,
        "loser": {"mode": "outside" if outside else "off", "outside": outside},
    }


def of_slot(slot: Evidence, rho: float, loras: Sequence[str]) -> dict[str, Any]:
    """Ranks, K, scores and L1 sums, or energies, of a slot, one of each for a LoRA, and rho."""
    return {
        **named("rank", loras, slot.ranks),
        "k": slot.k,
        **named("score", loras, slot.scores),
        **named("l1", loras, slot.l1),
        **named("energy", loras, slot.energies),
        "rho": finite(rho),
    }


def roles_in(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The LoRAs' roles."""
    return tuple(lora["role"] for lora in document["loras"])


def evidence_in(document: Mapping[str, Any], kinds: Sequence[str]) -> tuple[Evidence, ...]:
    """What :func:`of_slot` wrote; ``kinds`` are the keys' beginnings, empty for what is not there."""
    labels = labels_of(roles_in(document))
    keys = [[f"{kind}_{label}" for label in labels if kind] for kind in ("rank", *kinds)]
    return tuple(
        Evidence(slot["k"], *(tuple(slot[key] for key in of_kind) for of_kind in keys))
        for slot in document["slots"]
    )


def named(kind: str, loras: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """A key for each LoRA's value; none where there are no values."""
    return {f"{kind}_{name}": value for name, value in zip(loras, values, strict=True)} if values else {}


def finite(value: float) -> float | None:
    """JSON's null for inf and NaN."""
    return float(value) if math.isfinite(value) else None
