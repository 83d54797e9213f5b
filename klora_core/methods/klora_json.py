"""K-LoRA's part of a plan's document, written and read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..roles import labels_of
from .klora_scores import Evidence

if TYPE_CHECKING:
    from .klora import KLora


def head(method: KLora, modes: Sequence[str]) -> dict[str, Any]:
    """gamma (under each of ``modes`` too), the schedule, and what is not the paper's."""
    curve = method.schedule
    return {
        "gamma": {"mode": method.gamma_mode, "value": finite(method.gamma)},
        "schedule": {
            "name": curve.name,
            "alpha": curve.alpha,
            "beta": curve.beta,
            "balance": curve.balance,
        },
        "gammas": {mode: finite(method.gamma_of(mode)) for mode in modes},
        "score": method.score,
        "loser": {"mode": "outside" if method.outside else "off", "outside": method.outside},
    }


def of_slot(method: KLora, index: int, loras: Sequence[str]) -> dict[str, Any]:
    """Ranks, K, scores and L1 sums, or energies, of a slot, one of each for a LoRA, and rho."""
    slot = method.evidence[index]
    return {
        **named("rank", loras, slot.ranks),
        "k": slot.k,
        **named("score", loras, slot.scores),
        **named("l1", loras, slot.l1),
        **named("energy", loras, slot.energies),
        "rho": finite(float(method.rhos[index])),
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
