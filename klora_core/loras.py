"""What is said of LoRAs in a composition: the role of each, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SUBJECT, STYLE, OTHER = ROLES = ("subject", "style", "other")

LORA = "LoRA"
"""What most LoRAs are: low-rank factors, of no kind of its own name."""


@dataclass(frozen=True)
class LoraInfo:
    """A LoRA of the plan. ``slots`` counts what it changes in the diffusion model.

    ``alone`` names the slots among these that do not compete; ``kind`` is what most of them are (``LoHa``),
    ``base`` the base model that it was trained on, in words, where its file tells. ``blocks`` says how
    strongly it works in which blocks, as a person wrote it; empty: alike in all.
    """

    name: str
    role: str
    slots: int = 0
    strength: float = 1.0
    alone: tuple[str, ...] = ()
    kind: str = LORA
    base: str | None = None
    blocks: str = ""


def labels_of(roles: Sequence[str]) -> tuple[str, ...]:
    """What LoRAs are called in a plan: their role, numbered from the second of a role on."""
    seen: dict[str, int] = {}
    labels = []
    for role in roles:
        seen[role] = seen.get(role, 0) + 1
        labels.append(role if seen[role] == 1 else f"{role} {seen[role]}")
    return tuple(labels)
