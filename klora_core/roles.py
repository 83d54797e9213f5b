"""The roles that LoRAs have in a composition."""

from __future__ import annotations

from collections.abc import Sequence

SUBJECT, STYLE, OTHER = ROLES = ("subject", "style", "other")


def labels_of(roles: Sequence[str]) -> tuple[str, ...]:
    """What LoRAs are called in a plan: their role, numbered from the second of a role on."""
    seen: dict[str, int] = {}
    labels = []
    for role in roles:
        seen[role] = seen.get(role, 0) + 1
        labels.append(role if seen[role] == 1 else f"{role} {seen[role]}")
    return tuple(labels)
