"""What becomes of a LoRA file's tensors beside its slots: each one is named, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

NOT_APPLIED = "NOT applied"


class What(Enum):
    """What a thing is that a LoRA file holds and that is not applied."""

    TENSOR = "tensor"
    VECTOR = "bias or norm tensor"
    TEXT = "text-encoder layer"
    LAYER = "layer"


@dataclass(frozen=True)
class Left:
    """A module or a tensor that is not applied, why, and the file's tensors that it covers."""

    name: str
    reason: str
    what: What
    keys: tuple[str, ...]


def grouped(left: Iterable[Left]) -> dict[tuple[What, str], list[str]]:
    """Names by what they are and why they are left, in the order of their first appearance."""
    groups: dict[tuple[What, str], list[str]] = {}
    for item in left:
        groups.setdefault((item.what, item.reason), []).append(item.name)
    return groups


def keys_of(left: Iterable[Left]) -> frozenset[str]:
    """The tensors that are left, by their names in the file."""
    return frozenset(key for item in left for key in item.keys)
