"""B-LoRA (Frenkel et al., arXiv 2403.14572): in SDXL, content and style live in two blocks of their own.

The subject works in the paper's W_4, ``output_blocks.0.1`` (diffusers up_blocks.0.attentions.0), the style
in W_5, ``output_blocks.1.1`` (up_blocks.0.attentions.1), and nobody elsewhere, all the time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..deltas import Row
from ..errors import KLoraError
from ..loras import STYLE, SUBJECT
from ..progress import Moment
from .method import NOBODY, Fact, Method

BLOCKS = {SUBJECT: "output_blocks.0.1.", STYLE: "output_blocks.1.1."}
_CONTEXT = 2048
_CROSS = re.compile(r"output_blocks\.[01]\.1\.transformer_blocks\.\d+\.attn2\.to_[kv]")
# SDXL's are ten blocks deep; no other UNet of the family comes near.
_DEEP = re.compile(r"output_blocks\.[01]\.1\.transformer_blocks\.[4-9]\.")


@dataclass(frozen=True)
class BLora(Method):
    """``chosen`` is the LoRA of each slot by index, -1 for nobody; ``subject`` and ``style`` are the two."""

    chosen: tuple[int, ...]
    subject: int = 0
    style: int = 1

    name = "B-LoRA"
    paper = "arXiv 2403.14572"
    summary = "the subject works in one block of SDXL, the style in the next, and nobody elsewhere."

    def who(self, moment: Moment) -> np.ndarray:
        """The same at every moment, int8 [1, slots]."""
        return np.array(self.chosen, dtype=np.int8)[None]

    def facts(self) -> tuple[Fact, ...]:
        counts = [self.chosen.count(lora) for lora in (self.subject, self.style)]
        return (
            Fact("blocks", BLOCKS[SUBJECT].rstrip("."), f"the subject's, {counts[0]} layers"),
            Fact("", BLOCKS[STYLE].rstrip("."), f"the style's, {counts[1]} layers"),
            Fact(
                "meant for",
                "B-LoRAs",
                "trained on these two blocks alone; with other LoRAs it is a heuristic",
            ),
        )

    def never(self, candidate: int, label: str) -> str:
        return f"the {label} LoRA is used nowhere: it does not change the block where it would work."

    def slot_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """The label of the slot's LoRA, null for nobody."""
        return {"lora": None if self.chosen[index] == NOBODY else loras[self.chosen[index]]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BLora:
        labels = [candidate["label"] for candidate in document["candidates"]]
        chosen = (
            NOBODY if slot["lora"] is None else labels.index(slot["lora"]) for slot in document["slots"]
        )
        return cls(tuple(chosen), labels.index(SUBJECT), labels.index(STYLE))


def b_lora(rows: Sequence[Row], roles: Sequence[str]) -> BLora:
    """The method over the rows where a subject and a style, whose ``roles`` come first, take part.

    Raises KLoraError for LoRAs of a base model other than SDXL, and for more or fewer than one of each role.
    """
    if sorted(role for role in roles if role in BLOCKS) != sorted(BLOCKS):
        raise KLoraError(
            "B-LoRA takes exactly one subject and one style LoRA: give the others the role other."
        )
    if not any(_is_sdxl(row) for row in rows):
        raise KLoraError(
            "B-LoRA is made for SDXL: its blocks output_blocks.0.1 and output_blocks.1.1 mean nothing in "
            f"the base model of these LoRAs (with layers such as {rows[0].slot.name}). Use another method."
        )
    chosen = tuple(_chosen(row, roles) for row in rows)
    return BLora(chosen, roles.index(SUBJECT), roles.index(STYLE))


def _chosen(row: Row, roles: Sequence[str]) -> int:
    for lora, role in enumerate(roles):
        if role in BLOCKS and row.slot.weight.startswith(BLOCKS[role]) and row.deltas[lora] is not None:
            return lora
    return NOBODY


def _is_sdxl(row: Row) -> bool:
    if _CROSS.fullmatch(row.slot.weight):
        return row.shape[1] == _CONTEXT
    return _DEEP.match(row.slot.weight) is not None
