"""What becomes of a LoRA file's tensors beside its slots: each one is named, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

TEXT_REASON = "only the diffusion model's layers are composed here"
MERGE_TEXT_REASON = "only the diffusion model's layers are merged"
MISSING_REASON = "this model does not have them"


class What(Enum):
    """What a thing is that a LoRA file holds and that is not applied."""

    TENSOR = "tensor"
    VECTOR = "bias or norm tensor"
    TEXT = "text-encoder layer"
    LAYER = "layer"
    MISSING = "layer that this model does not have"

    def counted(self, number: int) -> str:
        """``2 layers that this model does not have``."""
        return f"{number} {self.value}" if number == 1 else f"{number} {_PLURAL.get(self, f'{self.value}s')}"


_PLURAL = {What.MISSING: "layers that this model does not have"}


@dataclass(frozen=True)
class Left:
    """A module or a tensor that is not applied, why, and the file's tensors that it covers."""

    name: str
    reason: str
    what: What
    keys: tuple[str, ...]


def told_once(left: Iterable[Left], applied: Iterable[str] = ()) -> tuple[Left, ...]:
    """The same, each tensor with the first that covers it: the parts of a fused layer share theirs.

    What is applied in one part is not left in another.
    """
    seen = set(applied)
    found = []
    for item in dict.fromkeys(left):
        found.append(replace(item, keys=tuple(key for key in item.keys if key not in seen)))
        seen.update(item.keys)
    return tuple(found)


def grouped(left: Iterable[Left]) -> dict[tuple[What, str], list[str]]:
    """Names by what they are and why they are left, in the order of their first appearance."""
    groups: dict[tuple[What, str], list[str]] = {}
    for item in left:
        groups.setdefault((item.what, item.reason), []).append(item.name)
    return groups
