"""B-LoRA (Frenkel et al., arXiv 2403.14572): in SDXL, content and style live in two blocks of their own.

The subject works in the block of the content, the style in that of the style (``names.blocks.halves``), and
nobody elsewhere, all the time. In FLUX these are the halves of SplitFlux (arXiv 2511.15258), which B-LoRA's
paper does not know: a heuristic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..deltas import Row
from ..errors import KLoraError
from ..loras import STYLE, SUBJECT
from ..names import CONTENT as CONTENT_HALF
from ..names import STYLE as STYLE_HALF
from ..names import family_of, in_half, said_of
from ..progress import Moment
from .method import NOBODY, Fact, Method

HALVES = {SUBJECT: CONTENT_HALF, STYLE: STYLE_HALF}
"""The half of a network by the role of the LoRA that works there."""
SDXL = "SDXL"
_MEANT_FOR = {
    SDXL: ("B-LoRAs", "trained on these two blocks alone; with other LoRAs it is a heuristic"),
    "FLUX": ("nothing", "SplitFlux's halves, arXiv 2511.15258: a heuristic for LoRAs that were not split so"),
}


@dataclass(frozen=True)
class BLora(Method):
    """``chosen`` is the LoRA of each slot by index, -1 for nobody; ``subject`` and ``style`` are the two.

    ``family`` is the network whose blocks these are.
    """

    chosen: tuple[int, ...]
    subject: int = 0
    style: int = 1
    family: str = SDXL

    name = "B-LoRA"
    paper = "arXiv 2403.14572"
    summary = "the subject works in some blocks, the style in others, and nobody elsewhere."

    def who(self, moment: Moment) -> np.ndarray:
        """The same at every moment, int8 [1, slots]."""
        return np.array(self.chosen, dtype=np.int8)[None]

    def facts(self) -> tuple[Fact, ...]:
        counts = [self.chosen.count(lora) for lora in (self.subject, self.style)]
        return (
            Fact("blocks", said_of(self.family, HALVES[SUBJECT]), f"the subject's, {counts[0]} layers"),
            Fact("", said_of(self.family, HALVES[STYLE]), f"the style's, {counts[1]} layers"),
            Fact("meant for", *_MEANT_FOR[self.family]),
        )

    def never(self, candidate: int, label: str) -> str:
        return f"the {label} LoRA is used nowhere: it does not change the block where it would work."

    def to_json(self) -> dict[str, Any]:
        """The network, where it is not the paper's."""
        return {} if self.family == SDXL else {"family": self.family}

    def slot_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """The label of the slot's LoRA, null for nobody."""
        return {"lora": None if self.chosen[index] == NOBODY else loras[self.chosen[index]]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BLora:
        labels = [candidate["label"] for candidate in document["candidates"]]
        chosen = (
            NOBODY if slot["lora"] is None else labels.index(slot["lora"]) for slot in document["slots"]
        )
        family = document.get("family", SDXL)
        if family not in _MEANT_FOR:
            raise ValueError(f"no halves are known of {family!r}")
        return cls(tuple(chosen), labels.index(SUBJECT), labels.index(STYLE), family)


def b_lora(rows: Sequence[Row], roles: Sequence[str]) -> BLora:
    """The method over the rows where a subject and a style, whose ``roles`` come first, take part.

    Raises KLoraError for LoRAs of a base model other than SDXL and FLUX, and for more or fewer than one of
    each role.
    """
    if sorted(role for role in roles if role in HALVES) != sorted(HALVES):
        raise KLoraError(
            "B-LoRA takes exactly one subject and one style LoRA.", "Give the others the role other"
        )
    family = family_of({row.slot.name: row.shape for row in rows})
    if family is None or not any(_half(row, role) for row in rows for role in HALVES):
        raise KLoraError(
            "B-LoRA is made for SDXL, and by a heuristic for FLUX's single blocks: they mean nothing in "
            f"the base model, or the layers, of these LoRAs ({rows[0].slot.name}).",
            "Use another method",
        )
    chosen = tuple(_chosen(row, roles) for row in rows)
    return BLora(chosen, roles.index(SUBJECT), roles.index(STYLE), family)


def _chosen(row: Row, roles: Sequence[str]) -> int:
    for lora, role in enumerate(roles):
        if role in HALVES and _half(row, role) and row.deltas[lora] is not None:
            return lora
    return NOBODY


def _half(row: Row, role: str) -> bool:
    return in_half(row.slot.weight, HALVES[role])
