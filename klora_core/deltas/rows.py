"""LoRAs brought to the finest slots that they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..errors import KLoraError
from ..loras import OTHER, STYLE, SUBJECT, labels_of
from ..names import Slot, base_model_of, depth_key, is_attention
from .remapped import Delta, Deltas

LAYERS = ("shared", "attention")
_EXAMPLES = 2
_SAME = "Use LoRAs of the same base model"


@dataclass(frozen=True, eq=False)
class Row:
    """One slot, and what each LoRA changes there, None where it does not."""

    slot: Slot
    deltas: tuple[Delta | None, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """[out, n] of the slot's weight change."""
        return next(delta.shape for delta in self.deltas if delta is not None)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that compete, and for each LoRA what it changes in slots that do not; in order of depth."""

    competing: tuple[Row, ...]
    alone: tuple[dict[Slot, Delta], ...]


def rows(loras: Sequence[Deltas], labels: Sequence[str]) -> tuple[Row, ...]:
    """Every slot that a LoRA changes, in order of depth; fused weights are cut where another LoRA is split.

    ``labels`` are the LoRAs' names in messages (``subject``). Raises KLoraError where a slot has two shapes,
    or one LoRA changes the same rows twice.
    """
    _check_heights(loras, labels)
    loras = [_whole(lora, loras) for lora in loras]
    borders = _borders(loras)
    pieces = [_cut(lora, borders, label) for lora, label in zip(loras, labels, strict=True)]
    slots = sorted({slot for own in pieces for slot in own}, key=lambda s: depth_key(s.name))
    each = tuple(Row(slot, tuple(piece.get(slot) for piece in pieces)) for slot in slots)
    for row in each:
        _check_shapes(row, labels)
    return each


def split(every: Sequence[Row], competes: Callable[[Row], bool]) -> Rows:
    """The rows that compete, and the others as each LoRA's own; of one row at least."""
    alone: tuple[dict[Slot, Delta], ...] = tuple({} for _ in every[0].deltas)
    competing = []
    for row in every:
        if competes(row):
            competing.append(row)
            continue
        for lora, delta in zip(alone, row.deltas, strict=True):
            if delta is not None:
                lora[row.slot] = delta
    return Rows(tuple(competing), alone)


def meet(loras: Sequence[Deltas], roles: Sequence[str], layers: str = LAYERS[0]) -> Rows:
    """The rows where a subject meets a style. ``roles`` are the LoRAs'; those of ``other`` meet nobody.

    ``layers``: ``shared`` lets every slot compete that a subject and a style change, ``attention`` only the
    attention projections among them. Raises KLoraError where no slot competes, where shapes differ, or for
    another ``layers``.
    """
    if layers not in LAYERS:
        raise KLoraError(f"unknown choice of layers {layers!r}.", f"Use one of {', '.join(LAYERS)}")
    taking_part, beside = _aside(rows(loras, labels_of(roles)), roles)
    shared = [row for row in taking_part if _has_both(row, roles)]
    if not shared:
        raise _nothing_shared(loras, roles)
    if layers == "attention" and not any(is_attention(row.slot.name) for row in shared):
        raise KLoraError(
            f"the LoRAs share {len(shared)} layers, for example {shared[0].slot.name}, but no attention "
            "layer.",
            "Let all shared layers compete",
        )
    met = split(
        taking_part, lambda row: _has_both(row, roles) and (layers == "shared" or is_attention(row.slot.name))
    )
    return _together(met, beside)


def meet_all(loras: Sequence[Deltas], roles: Sequence[str]) -> Rows:
    """Every row that a LoRA changes, for methods where all of them take part.

    LoRAs of the role ``other`` take none. Raises KLoraError where no LoRA does, or where shapes differ.
    """
    taking_part, beside = _aside(rows(loras, labels_of(roles)), roles)
    if not taking_part:
        raise KLoraError("no LoRA of the set takes part.", "Give at least one the role subject or style")
    return _together(split(taking_part, lambda row: True), beside)


def _aside(every: Sequence[Row], roles: Sequence[str]) -> tuple[list[Row], tuple[dict[Slot, Delta], ...]]:
    """The rows without LoRAs of the role ``other``, and what those change, by LoRA."""
    beside: tuple[dict[Slot, Delta], ...] = tuple({} for _ in roles)
    kept = []
    for row in every:
        for role, own, delta in zip(roles, beside, row.deltas, strict=True):
            if role == OTHER and delta is not None:
                own[row.slot] = delta
        deltas = tuple(None if role == OTHER else d for role, d in zip(roles, row.deltas, strict=True))
        if any(delta is not None for delta in deltas):
            kept.append(Row(row.slot, deltas))
    return kept, beside


def _together(met: Rows, beside: Sequence[Mapping[Slot, Delta]]) -> Rows:
    return Rows(met.competing, tuple({**own, **more} for own, more in zip(met.alone, beside, strict=True)))


def _has_both(row: Row, roles: Sequence[str]) -> bool:
    there = {role for role, delta in zip(roles, row.deltas, strict=True) if delta is not None}
    return {SUBJECT, STYLE} <= there


def _check_heights(loras: Sequence[Deltas], labels: Sequence[str]) -> None:
    """Refuses a weight of two heights: cutting would take it for one that is fused and one that is split."""
    heights: dict[str, tuple[str, Delta]] = {}
    for lora, label in zip(loras, labels, strict=True):
        for slot, delta in lora.items():
            if slot.rows is None:
                first, known = heights.setdefault(slot.weight, (label, delta))
                if known.shape[0] != delta.shape[0]:
                    raise _two_sizes(slot.weight, first, known.shape, label, delta.shape)
    for lora, label in zip(loras, labels, strict=True):
        for slot, delta in lora.items():
            if slot.rows is not None and slot.weight in heights:
                first, known = heights[slot.weight]
                if sum(slot.rows) > known.shape[0] or delta.shape[1] != known.shape[1]:
                    raise _two_sizes(slot.name, first, known.shape, label, delta.shape)


def _two_sizes(
    layer: str, first: str, shape: tuple[int, int], label: str, other: tuple[int, int]
) -> KLoraError:
    return KLoraError(
        f"layer {layer} is {_size(shape)} in the {first} LoRA and {_size(other)} in the {label} LoRA: they "
        "were trained on different base models.",
        _SAME,
    )


def _check_shapes(row: Row, labels: Sequence[str]) -> None:
    sized = [(label, d.shape) for label, d in zip(labels, row.deltas, strict=True) if d is not None]
    first, shape = sized[0]
    for label, other in sized[1:]:
        if other != shape:
            raise _two_sizes(row.slot.name, first, shape, label, other)


def _size(shape: tuple[int, int]) -> str:
    return " x ".join(map(str, shape))


def _whole(lora: Deltas, others: Sequence[Deltas]) -> Deltas:
    """The same slots; rows that are all that another LoRA's whole weight has become the whole weight."""
    return {
        Slot(slot.weight)
        if slot.rows == (0, delta.shape[0]) and _is_whole(slot.weight, delta, others)
        else slot: delta
        for slot, delta in lora.items()
    }


def _is_whole(weight: str, delta: Delta, others: Sequence[Deltas]) -> bool:
    slot = Slot(weight)
    return any(slot in other and other[slot].shape[0] == delta.shape[0] for other in others)


def _span(slot: Slot, delta: Delta) -> tuple[int, int]:
    return slot.rows or (0, delta.shape[0])


def _borders(loras: Sequence[Deltas]) -> dict[str, set[int]]:
    borders: dict[str, set[int]] = defaultdict(set)
    for deltas in loras:
        for slot, delta in deltas.items():
            start, length = _span(slot, delta)
            borders[slot.weight] |= {start, start + length}
    return borders


def _cut(deltas: Deltas, borders: Mapping[str, set[int]], label: str) -> dict[Slot, Delta]:
    pieces: dict[Slot, Delta] = {}
    taken: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for slot, delta in deltas.items():
        start, length = _span(slot, delta)
        if any(start < stop and begin < start + length for begin, stop in taken[slot.weight]):
            raise KLoraError(
                f"the {label} LoRA changes layer {slot.name} twice, fused and split.",
                f"Save the {label} LoRA again from the tool that trained it",
            )
        taken[slot.weight].append((start, start + length))
        marks = sorted(border for border in borders[slot.weight] if start <= border <= start + length)
        if len(marks) == 2:
            pieces[slot] = delta
            continue
        for begin, stop in pairwise(marks):
            pieces[Slot(slot.weight, (begin, stop - begin))] = delta.rows(begin - start, stop - begin)
    return pieces


def _nothing_shared(loras: Sequence[Deltas], roles: Sequence[str]) -> KLoraError:
    changes = "; ".join(f"the {role} {_described(deltas)}" for role, deltas in zip(roles, loras, strict=True))
    return KLoraError(
        f"the {'two ' if len(loras) == 2 else ''}LoRAs share no layer, so nothing can compete. "
        f"They are probably for different base models. What they change: {changes}.",
        _SAME,
    )


def _described(deltas: Deltas) -> str:
    names = sorted((slot.name for slot in deltas), key=depth_key)
    if not names:
        return "no layer of the diffusion model"
    # The middle of the network says more about the base model than its embedders.
    middle = names[len(names) // 2 :][:_EXAMPLES]
    base = base_model_of({slot.name: delta.shape for slot, delta in deltas.items()})
    made = f" ({base} LoRA)" if base else ""
    return f"{len(names)} layers such as {' and '.join(middle)}{made}"
