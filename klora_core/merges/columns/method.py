"""What a merge with learnt columns is: dW = sum_i w_i dW_i diag(m_i), the m_i read from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ...deltas import LowRank
from ...files import LoraFile
from ...names import Slot
from ..method import MergeMethod, Settings, Term
from ..sums import concatenation

Columns = Mapping[Slot, Tensor]
"""m of one LoRA by slot, float32, [n]."""


@dataclass(frozen=True)
class Learnt:
    """What a file holds for LoRAs: the columns of each by slot, and what else to say."""

    columns: tuple[Columns, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ColumnMethod:
    """A row of the table: ``option`` is the command line's for the file, ``help`` what that is.

    ``read`` gives what the file holds for LoRAs in their order. Raises KLoraError.
    """

    name: str
    label: str
    paper: str
    option: str
    help: str
    read: Callable[[Path, Sequence[LoraFile]], Learnt]

    def with_columns(self, columns: Sequence[Columns]) -> MergeMethod:
        """The merge method of these columns; a slot without any is the plain sum."""

        def merge_slot(terms: Sequence[Term], settings: Settings) -> LowRank:
            return concatenation(
                [_scaled(term, covering(columns[term.lora], settings.slot)) for term in terms]
            )

        return MergeMethod(self.name, self.label, self.paper, merge_slot)


def covering(columns: Columns, slot: Slot) -> Tensor | None:
    """The column coefficients of a slot: its own, or those of the rows that it is a part of."""
    for own, m in columns.items():
        if own.weight == slot.weight and (own.rows is None or own.rows == slot.rows or _inside(slot, own)):
            return m
    return None


def _inside(slot: Slot, whole: Slot) -> bool:
    if slot.rows is None or whole.rows is None:
        return False
    (start, length), (first, count) = slot.rows, whole.rows
    return first <= start and start + length <= first + count


def _scaled(term: Term, m: Tensor | None) -> LowRank:
    """w dW diag(m): only ``down`` changes."""
    change = term.weighted()
    return change if m is None else LowRank(change.up, change.down * m.to(change.down), change.scale)
