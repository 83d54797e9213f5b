"""Two LoRAs brought to the finest slots that they share."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from .deltas import Delta, Deltas, Slot
from .errors import KLoraError
from .order import depth_key


@dataclass(frozen=True)
class SlotPair:
    """One slot that both LoRAs change."""

    slot: Slot
    subject: Delta
    style: Delta


@dataclass(frozen=True)
class Pairing:
    """What both LoRAs change, and what one of them changes alone; in order of depth."""

    shared: tuple[SlotPair, ...]
    subject_only: dict[Slot, Delta]
    style_only: dict[Slot, Delta]


def pair(subject: Deltas, style: Deltas) -> Pairing:
    """Match the slots of two LoRAs, cutting fused weights where the other LoRA is split.

    Raises KLoraError where a slot has two shapes, or one LoRA changes the same rows twice.
    """
    cut_subject = _cut(subject, _borders(style), "subject")
    cut_style = _cut(style, _borders(subject), "style")
    shared = []
    for slot in sorted(cut_subject.keys() & cut_style.keys(), key=lambda s: depth_key(s.name)):
        ours, theirs = cut_subject[slot], cut_style[slot]
        if ours.shape != theirs.shape:
            raise KLoraError(
                f"Layer {slot.name} is {_size(ours)} in the subject LoRA and {_size(theirs)} in the style "
                "LoRA: they were trained on different base models. Use two LoRAs of the same base model."
            )
        shared.append(SlotPair(slot, ours, theirs))
    return Pairing(tuple(shared), _without(cut_subject, cut_style), _without(cut_style, cut_subject))


def _size(delta: Delta) -> str:
    return " x ".join(map(str, delta.shape))


def _without(deltas: Deltas, other: Deltas) -> dict[Slot, Delta]:
    return {s: deltas[s] for s in sorted(deltas.keys() - other.keys(), key=lambda s: depth_key(s.name))}


def _span(slot: Slot, delta: Delta) -> tuple[int, int]:
    return slot.rows or (0, delta.shape[0])


def _borders(deltas: Deltas) -> dict[str, set[int]]:
    borders: dict[str, set[int]] = defaultdict(set)
    for slot, delta in deltas.items():
        start, length = _span(slot, delta)
        borders[slot.weight] |= {start, start + length}
    return borders


def _cut(deltas: Deltas, borders: dict[str, set[int]], role: str) -> dict[Slot, Delta]:
    pieces: dict[Slot, Delta] = {}
    taken: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for slot, delta in deltas.items():
        start, length = _span(slot, delta)
        if any(start < stop and begin < start + length for begin, stop in taken[slot.weight]):
            raise KLoraError(
                f"The {role} LoRA changes layer {slot.name} twice, fused and split. "
                "Save it again from the tool that trained it."
            )
        taken[slot.weight].append((start, start + length))
        marks = sorted(
            {start, start + length} | {b for b in borders[slot.weight] if start < b < start + length}
        )
        if len(marks) == 2:
            pieces[slot] = delta
            continue
        for begin, stop in zip(marks, marks[1:], strict=False):
            pieces[Slot(slot.weight, (begin, stop - begin))] = delta.rows(begin - start, stop - begin)
    return pieces
