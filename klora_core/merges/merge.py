"""Rows of N LoRAs through a merge method to one LoRA; one slot in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..deltas import LowRank, Row
from ..errors import KLoraError
from ..loras import OTHER, ROLES, STYLE, SUBJECT
from ..names import BlockStrengths, Slot, strengths_of
from ..progress import Callback
from .low_rank import cut, cut_matrix, norm
from .method import LARGEST, MergeMethod, Named, Settings, Term, Value, check_sizes, sum_of_ranks


@dataclass(frozen=True, eq=False)
class Merged:
    """A merged LoRA: its changes by slot, float32 factors of scale 1, and how it was made.

    ``kept`` is each cut slot's share of the energy (||.||_F^2) of the method's result; a slot that is
    exact as it came is not in it. ``energy`` is ||dW||_F^2 of each slot of the result. ``blocks`` says how
    strongly each LoRA works in which blocks, as a person wrote it.
    """

    deltas: dict[Slot, LowRank]
    method: Named
    values: Mapping[str, Value]
    weights: tuple[float, ...]
    roles: tuple[str, ...]
    kept: Mapping[Slot, float]
    energy: Mapping[Slot, float]
    blocks: tuple[str, ...] = ()

    def facts(self) -> tuple[str, ...]:
        """Lines for a report: method, source, parameters, ranks, what the cut to a rank lost."""
        ranks = sorted({change.rank for change in self.deltas.values()})
        parameters = ", ".join(f"{name} {value}" for name, value in self.values.items())
        shown = f"{ranks[0]}" if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
        lines = [
            f"{self.method.label} ({self.method.paper})" + (f": {parameters}" if parameters else ""),
            f"{len(self.deltas)} layers of rank {shown}",
        ]
        if self.kept:
            worst = min(self.kept, key=lambda slot: self.kept[slot])
            lines.append(
                f"cut to that rank in {len(self.kept)} layers, which keeps {self.kept_energy():.1%} of their "
                f"energy; least in {worst.name}: {self.kept[worst]:.1%}"
            )
        return tuple(lines)

    def kept_energy(self) -> float:
        """The share of the energy of all cut slots together that the cut kept, 1 where nothing was cut."""
        kept = sum(self.energy[slot] for slot in self.kept)
        # A slot that keeps nothing measurable has no energy to count.
        whole = sum(self.energy[slot] / share for slot, share in self.kept.items() if share > 0)
        return kept / whole if whole > 0 else 1.0


def default_roles(count: int) -> tuple[str, ...]:
    """The first LoRA is the subject, the others are styles."""
    return (SUBJECT, *[STYLE] * (count - 1))


def merge(
    rows: Sequence[Row],
    method: MergeMethod,
    weights: Sequence[float],
    roles: Sequence[str] | None = None,
    rank: int | None = None,
    *,
    values: Mapping[str, Value] | None = None,
    blocks: Sequence[str] | None = None,
    progress: Callback | None = None,
    device: torch.device | str = "cpu",
) -> Merged:
    """One LoRA from the N of ``rows``, each at its weight (strength).

    ``roles`` None means :func:`default_roles`; ``rank`` None what the method says: exact where its result is
    of low rank, else the rank that its row names. A LoRA of weight 0 takes no part, and slots that only such
    LoRAs change are left out. ``blocks`` weighs each LoRA in its blocks too (``up 1-3: 0.5``), and 0
    counts there as it does for all of it; None: alike in all. ``progress`` (done, of how many: slots of all
    LoRAs, times passes) is called as the work goes on, within a slot too where that takes long; an exception
    from it stops the merge. The work is done on ``device``, the result is on the CPU.

    Raises KLoraError for arguments that do not fit, for deltas of different shapes in one slot, for more
    memory than any network's layers explain, and for values that overflow, naming the layer.
    """
    roles = _checked(rows, weights, roles, rank)
    blocks = tuple(blocks or [""] * len(weights))
    settings = Settings(Slot(""), method.values(values or {}), rank)
    within = [strengths_of(text) for text in blocks]
    terms = {
        row.slot: found
        for row in rows
        if (found := _terms(row, _in_slot(row, weights, within), roles, device))
    }
    if not terms:
        raise KLoraError(
            "there is nothing to merge: every LoRA has strength 0"
            + (", or has it in all of its blocks." if any(blocks) else "."),
            "Give one LoRA another strength",
        )
    check_sizes(terms, method, rank)
    once = sum(map(len, terms.values()))
    counter = _Counter(progress, once * (method.passes + 1))
    for slot, found in terms.items():
        if not all(term.fits() for term in found):
            raise _overflow(slot)
    if method.prepare is not None:
        settings = replace(settings, evidence=method.prepare(terms, settings.values, counter.step))
        counter.done = once * method.passes
    shelf = _Shelf()
    deltas: dict[Slot, LowRank] = {}
    kept: dict[Slot, float] = {}
    size: dict[Slot, float] = {}
    for slot, found in terms.items():
        try:
            step = partial(counter.within, len(found))
            result = method.merge_slot(found, replace(settings, slot=slot, step=step))
            change, share = _to_rank(result, found, method, rank)
        except (torch.linalg.LinAlgError, OverflowError) as error:
            raise _overflow(slot) from error
        size[slot] = _checked_norm(slot, change)
        deltas[slot] = LowRank(shelf.keep(change.up), shelf.keep(change.down), change.scale)
        if share is not None:
            kept[slot] = share
        counter.step(len(found))
    energy = {slot: each**2 for slot, each in size.items()}
    return Merged(deltas, method, settings.values, tuple(weights), roles, kept, energy, blocks)


def _to_rank(
    result: LowRank | Tensor, terms: Sequence[Term], method: MergeMethod, rank: int | None
) -> tuple[LowRank, float | None]:
    """The result as factors, and the share of its energy where it had to be cut, else None."""
    if rank is None and method.default_rank is not None:
        rank = method.default_rank(terms)
    if isinstance(result, Tensor):
        return cut_matrix(result, min(rank or sum_of_ranks(terms), *result.shape))
    if rank is None or result.rank <= rank:
        return result, None
    return cut(result, rank)


def _in_slot(row: Row, weights: Sequence[float], within: Sequence[BlockStrengths]) -> list[float]:
    """The LoRAs' weights in a row's slot."""
    return [weight * own.of(row.slot.name) for weight, own in zip(weights, within, strict=True)]


def _terms(
    row: Row, weights: Sequence[float], roles: Sequence[str], device: torch.device | str
) -> tuple[Term, ...]:
    present = [
        Term(lora, delta, float(weight), role, torch.device(device))
        for lora, (delta, weight, role) in enumerate(zip(row.deltas, weights, roles, strict=True))
        if delta is not None and weight != 0
    ]
    if len({term.delta.shape for term in present}) > 1:
        sizes = ", ".join(" x ".join(map(str, term.delta.shape)) for term in present)
        raise KLoraError(
            f"layer {row.slot.name} has a different size in each LoRA ({sizes}): they were trained on "
            "different base models.",
            "Merge LoRAs of one base model",
        )
    return tuple(present)


def _checked(
    rows: Sequence[Row], weights: Sequence[float], roles: Sequence[str] | None, rank: int | None
) -> tuple[str, ...]:
    if not rows:
        raise KLoraError("there is nothing to merge: the LoRAs change no layer.", "Choose other LoRAs")
    count = len(rows[0].deltas)
    roles = default_roles(count) if roles is None else tuple(roles)
    for what, found in (("weights", len(weights)), ("roles", len(roles))):
        if found != count:
            raise KLoraError(f"got {found} {what} for {count} LoRAs.", "Give one for each LoRA")
    if wrong := [weight for weight in weights if not math.isfinite(weight)]:
        raise KLoraError(f"A weight must be a finite number, got {wrong[0]}.")
    if unknown := [role for role in roles if role not in ROLES]:
        raise KLoraError(f"unknown role {unknown[0]!r}.", f"Use one of {', '.join(ROLES)} ({OTHER}: neither)")
    if rank is not None and rank < 1:
        raise KLoraError(f"rank must be at least 1, got {rank}.")
    return roles


def _checked_norm(slot: Slot, change: LowRank) -> float:
    """||dW||_F. Raises KLoraError where a factor is not finite, or float32 can't hold their product."""
    extremes = (extreme for factor in (change.up, change.down) for extreme in factor.aminmax())
    if not all(map(torch.isfinite, extremes)) or not (size := norm(change)) <= LARGEST:
        raise _overflow(slot)
    return size


def _overflow(slot: Slot) -> KLoraError:
    return KLoraError(
        f"layer {slot.name} overflows when the LoRAs are merged.",
        "Lower the strengths, or leave out the LoRA that burns pictures alone",
    )


class _Shelf:
    """Keeps results on the CPU in a few large pieces of memory.

    Each in its own, they would lie between the freed work of their slots, and the heap grows by a gigabyte.
    """

    PIECE = 1 << 24

    def __init__(self) -> None:
        self._room, self._used = torch.empty(0), 0

    def keep(self, values: Tensor) -> Tensor:
        """A copy of ``values`` in float32."""
        stop = self._used + values.numel()
        if stop > self._room.numel():
            self._room, self._used = torch.empty(max(self.PIECE, values.numel())), 0
            stop = values.numel()
        kept = self._room[self._used : stop].view(values.shape)
        self._used = stop
        return kept.copy_(values)


class _Counter:
    """Counts terms for ``progress``; a pass that had to be repeated never shows more than the whole."""

    def __init__(self, progress: Callback | None, total: int) -> None:
        self.done, self._total, self._progress = 0, total, progress

    def step(self, terms: int = 1) -> None:
        self.done += terms
        self.within(0, 0)

    def within(self, terms: int, share: float) -> None:
        """Tell that ``share`` of the next ``terms`` is done, which are counted when all of it is."""
        if self._progress is not None:
            self._progress(min(self.done + terms * share, self._total), self._total)
