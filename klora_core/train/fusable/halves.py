"""UnZipLoRA in training: two LoRAs of one picture, each with a prompt of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import KLoraError
from ...names import Slot, reads_text
from ..chains import added
from ..items import Model, Noised
from ..layers import Change, Changes
from ..loop import Group, State
from .training import Factors, Plan, Shown, Sizes, fresh, parameters
from .unzip import (
    HALVES,
    MASK_RATE,
    OVERLAP,
    RATE,
    Columns,
    column_scores,
    folded,
    grown,
    overlap,
    owner,
    period_starts,
)

Inputs = Mapping[Slot, Tensor]
"""What the slots that read text alone see of a prompt, [1, tokens, n]."""


class UnZip:
    """The two halves. ``prompts`` are the conditions of the content and of the style, which only the model
    understands; ``by_block`` is whether blocks have owners, as in SDXL.

    Raises KLoraError where no slot reads text alone.
    """

    def __init__(self, sizes: Sizes, plan: Plan, prompts: Sequence[Any], by_block: bool) -> None:
        if not any(reads_text(slot.weight) for slot in sizes):
            raise KLoraError(
                "UnZipLoRA gives each of its halves a prompt of its own where text enters by "
                "cross-attention, and this model has text and picture in one attention.",
                "Choose another method",
            )
        self.plan = plan
        self._prompts, self._by_block = tuple(prompts), by_block
        self._starts = period_starts(plan.steps)
        self.factors = [fresh(sizes, plan, 1 / plan.rank, i) for i in range(len(HALVES))]
        with torch.inference_mode(False):
            self.learned = [
                {
                    slot: torch.ones(out, device=plan.device, requires_grad=True)
                    for slot, (out, _) in sizes.items()
                }
                for _ in HALVES
            ]
            self.masks = [
                {slot: torch.zeros(out, device=plan.device) for slot, (out, _) in sizes.items()}
                for _ in HALVES
            ]
        self.groups = (
            *(Group(tuple(parameters(half))) for half in self.factors),
            Group(tuple(m for half in self.learned for m in half.values()), MASK_RATE / RATE),
        )
        self._scores: list[dict[Slot, list[Tensor]]] = [{} for _ in HALVES]
        self._inputs: list[Inputs] | None = None

    def changes(self, step: int, model: Model, batch: Noised) -> Changes:
        if self._inputs is None:
            self._inputs = [_inputs(model, batch, prompt, self.masks[0]) for prompt in self._prompts]
        starts = step in self._starts
        return _Both(
            [
                _Half(half, self._columns(i, starts), inputs, self._scores[i] if starts else None)
                for i, (half, inputs) in enumerate(zip(self.factors, self._inputs, strict=True))
            ]
        )

    def plain(self) -> Changes:
        return Shown(self.factors[0])

    def _columns(self, half: int, starts: bool) -> dict[Slot, Columns]:
        """m and k of a half; at a period's first step m is not learned, and no output is masked."""
        return {
            slot: Columns(m.detach(), torch.ones_like(m)) if starts else Columns(m, self.masks[half][slot])
            for slot, m in self.learned[half].items()
        }

    def extra(self, step: int) -> Tensor | None:
        if step in self._starts:
            return None
        both = [self._columns(i, False) for i in range(len(HALVES))]
        return OVERLAP * overlap([(both[0][slot], both[1][slot]) for slot in both[0]])

    def after(self, done: int, optimizer: torch.optim.Optimizer) -> None:
        for half in self.learned:
            for m in half.values():
                m.clamp_(0, 1)
        if done - 1 in self._starts:
            # A layer that never ran has no scores, and is named in the report.
            for slot in list(self._scores[0]):
                found = [torch.stack(scores.pop(slot)).mean(dim=0) for scores in self._scores]
                whole = owner(slot.weight) if self._by_block else None
                masks = grown([half[slot] for half in self.masks], found, whole)
                for half, mask in zip(self.masks, masks, strict=True):
                    half[slot] = mask

    def state(self) -> State:
        return {"masks": [[mask.to("cpu", copy=True) for mask in half.values()] for half in self.masks]}

    def resume(self, state: State) -> None:
        for half, masks in zip(self.masks, state["masks"], strict=True):
            half.update(zip(half, (mask.to(self.plan.device) for mask in masks), strict=True))

    def results(self) -> tuple[dict[Slot, Any], ...]:
        with torch.no_grad():
            return tuple(
                {
                    slot: Factors(own.down, folded(own.up, (m[slot], k[slot]))).stored()
                    for slot, own in half.items()
                }
                for half, m, k in zip(self.factors, self.learned, self.masks, strict=True)
            )

    def facts(self) -> list[str]:
        shares = [float(torch.cat(list(half.values())).mean()) for half in self.masks]
        both = [self._columns(i, False) for i in range(len(HALVES))]
        left = float(overlap([(both[0][slot], both[1][slot]) for slot in both[0]]).detach())
        return [
            f"The content has {shares[0]:.0%} of the layers' outputs, the style {shares[1]:.0%}; what both "
            f"have counts {left:.4f} of 1."
        ]


@dataclass(frozen=True, eq=False)
class _Half:
    """What a half adds: its factors, m k, what it sees instead of the text, and where its scores go."""

    factors: Mapping[Slot, Factors]
    columns: Mapping[Slot, Columns]
    inputs: Inputs
    scores: dict[Slot, list[Tensor]] | None

    def change(self, slot: Slot) -> Change:
        own, columns = self.factors[slot], self.columns[slot]
        up = folded(own.up, (columns.learned, columns.mask))

        def change(module: Any, x: Tensor) -> Tensor:
            seen = _fitted(self.inputs[slot], x) if slot in self.inputs else x
            y = added(module, seen, own.down, up)
            if self.scores is None:
                return y
            sink = self.scores.setdefault(slot, [])
            return _Scored.apply(y, seen, own.down, own.up, columns.learned, sink)

        return change


@dataclass(frozen=True, eq=False)
class _Both:
    halves: Sequence[_Half]

    def of(self, slot: Slot) -> Change | None:
        changes = [half.change(slot) for half in self.halves]
        return lambda module, x: changes[0](module, x) + changes[1](module, x)


class _Scored(torch.autograd.Function):
    """A half's part of a layer's output as it is; in the backward pass its outputs are scored.

    dW = B A, of which y = dW x m: its gradient is m (dL/dy)^T x, one layer at a time and never kept.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, down: Tensor, up: Tensor, m: Tensor, sink: list) -> Tensor:
        ctx.save_for_backward(x, down, up, m)
        ctx.sink = sink
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, down, up, m = ctx.saved_tensors
        of_change = gradient.flatten(0, -2).float().T @ x.flatten(0, -2).float()
        ctx.sink.append(column_scores(up @ down, of_change * m.unsqueeze(1)))
        return gradient, None, None, None, None, None


class _Reader:
    """Nothing is added; what the slots that read text see is kept."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        self._slots = frozenset(slot for slot in slots if reads_text(slot.weight))
        self.seen: dict[Slot, Tensor] = {}

    def of(self, slot: Slot) -> Change | None:
        return self._keep(slot) if slot in self._slots else None

    def _keep(self, slot: Slot) -> Change:
        def keep(module: Any, x: Tensor) -> Tensor:
            self.seen[slot] = x.detach()
            return x.new_zeros(())

        return keep


def _inputs(model: Model, batch: Noised, prompt: Any, slots: Iterable[Slot]) -> Inputs:
    """What the layers that read text see of a prompt. Raises KLoraError where it is not the text alone."""
    slots, found = list(slots), []
    with torch.no_grad():
        # A picture that has nothing in common with the first, at another noise level.
        for x, sigma in ((batch.x[:1], batch.sigma[:1]), (-batch.x[:1], batch.sigma[:1] * 0.5)):
            reader = _Reader(slots)
            model.predict(x, sigma, prompt, reader)
            found.append(reader.seen)
    for slot, seen in found[0].items():
        if not torch.equal(seen, found[1][slot]):
            raise KLoraError(
                f"layer {slot.name} of this model sees the picture beside the text, and UnZipLoRA gives "
                "each of its halves a prompt of its own.",
                "Choose another method",
            )
    return found[0]


def _fitted(own: Tensor, x: Tensor) -> Tensor:
    """What a layer sees of a half's prompt, for as many pictures and tokens as it sees of the pictures' own.

    Text that is given twice weighs what it does once: hosts fill up shorter prompts so.
    """
    if own.shape[1] > x.shape[1] or x.shape[1] % own.shape[1]:
        raise KLoraError(
            f"the prompt of content or style is {own.shape[1]} tokens long for the model, the picture's "
            f"{x.shape[1]}, and tokens meet one by one.",
            "Bring the prompts to one length",
        )
    return own.repeat(1, x.shape[1] // own.shape[1], 1).expand(x.shape[0], -1, -1)
