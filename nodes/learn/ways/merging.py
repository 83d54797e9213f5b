"""The ways in which one LoRA is learned from several on a second model: a row each, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.utils
import torch
from torch import Tensor

from ...klora_core import train
from ...klora_core.deltas import LowRank, Row
from ...klora_core.errors import KLoraError
from ...klora_core.merges import Merged
from ...klora_core.names import Slot, strengths_of
from ...klora_core.train import Factors, Item, Known, Learned, Weighted
from ..composing import Member
from ..training import (
    Needs,
    OnHost,
    Sampling,
    digest,
    own_pictures,
)
from .on_second import going_on, learning

# Of each LoRA's own pictures, and how many of them in a call where the model is small.
_COPIES, _TOGETHER = 96, 8
# Copies of what was not learned from, on which results and plain sums are held against each other.
_UNSEEN = 8
SUMS = (0.5, 0.7, 1.0)


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be merged, and from what it is learned.

    ``prompts`` are each LoRA's own, ``shown`` pictures of the combination: only what a way asks for is there.
    """

    model: Any
    members: Sequence[Member]
    rows: Sequence[Row]
    values: Mapping[str, Any]
    prompts: Sequence[Sequence[list]]
    negative: list | None
    shown: Sequence[Item]
    pictures: int
    sampling: Sampling

    def name_by(self, way: Way) -> str:
        """Under which an equal run by the same way goes on, or has its result."""
        loras = [
            (dict(member.tensors), member.strength, member.role, member.blocks) for member in self.members
        ]
        seen = [(item.latent, item.condition) for item in self.shown]
        mine = self.values, self.prompts, self.negative, seen, self.pictures, self.sampling
        return digest(self.model, way.name, loras, mine)

    @property
    def strengths(self) -> tuple[float, ...]:
        """Of each LoRA."""
        return tuple(member.strength for member in self.members)

    @property
    def seed(self) -> int:
        """Of pictures, noise and order."""
        return self.sampling.seed


@dataclass(frozen=True, eq=False)
class Outcome:
    """A merge that was learned: factors by slot, each step's loss, and what there is to say."""

    deltas: dict[Slot, LowRank]
    losses: tuple[float, ...]
    lines: tuple[str, ...]


def taught(job: Job, name: str) -> Outcome:
    """Columns and rows by pictures of the combination."""
    options = train.Options(
        sides=job.values["learn"],
        steps=job.values["steps"],
        rate=job.values["rate"],
        start=job.strengths,
        seed=job.seed,
    )
    on_or_off = [float(strength != 0) for strength in job.strengths]
    factors = train.factored(job.rows, job.model.load_device, on_or_off)
    begun = train.begun(factors, job.strengths, options.sides)
    with learning(job.model, factors, job.shown[0], begun) as (on, needs):
        options = replace(options, at_once=needs.at_once(options.batch))
        made = train.taught(factors, job.shown, on, options, **going_on(name, options.steps))
        unseen = [train.targets(on, job.shown, 2 * _UNSEEN, job.seed + 1)]
        return _outcome(job, on, needs, factors, made, unseen)


def zip_lora(job: Job, name: str) -> Outcome:
    """ZipLoRA's columns by what each LoRA says alone."""
    options = train.ZipOptions(
        steps=job.values["steps"], rate=job.values["rate"], overlap=job.values["overlap"], seed=job.seed
    )
    factors = train.factored(job.rows, job.model.load_device, job.strengths)
    items = _own_items(job)
    begun = train.begun(factors, (1.0,) * factors.count, "columns")
    with learning(job.model, factors, items[0][0], begun) as (on, needs):
        together = needs.at_once(_TOGETHER)
        each = _known(on, factors, items, _COPIES, job.seed, together)
        made = train.zip_lora(factors, each, on, options, **going_on(name, options.steps))
        unseen = _known(on, factors, items, _UNSEEN, job.seed + 1000, together)
        return _outcome(job, on, needs, factors, made, unseen)


def calibrated(job: Job, name: str) -> Outcome:
    """SSR-Merge: one pass over what each LoRA says alone."""
    factors = train.factored(job.rows, job.model.load_device, job.strengths)
    items = _own_items(job)
    begun = train.begun(factors, (1.0,) * factors.count, "columns")
    with learning(job.model, factors, items[0][0], begun, gradients=False) as (on, needs):
        together = needs.at_once(_TOGETHER)
        bar = comfy.utils.ProgressBar(-(-_COPIES // together) * factors.count)
        made = train.calibrated(factors, items, on, _COPIES, job.seed, together, tick=lambda: bar.update(1))
        unseen = _known(on, factors, items, _UNSEEN, job.seed + 1000, together)
        lines = _beside(on, factors, made.deltas, unseen, together)
    if made.as_sum:
        lines.append(f"{len(made.as_sum)} layers never ran, or run in groups: the plain sum there.")
    return Outcome(made.deltas, (), tuple(lines))


def _outcome(
    job: Job, on: OnHost, needs: Needs, factors: Factors, made: Learned, unseen: Sequence[Known]
) -> Outcome:
    missing = on.layers.unseen
    lines = [
        *losses_in_words(made.losses),
        *_beside(on, factors, made.deltas, unseen, needs.at_once(_TOGETHER)),
        *_numbers(job, made.weighted),
        *([f"{len(missing)} layers never ran, so nothing was learned for them."] if missing else []),
        needs.line(),
    ]
    return Outcome(made.deltas, made.losses, tuple(lines))


def _own_items(job: Job) -> list[list[Item]]:
    """Each LoRA's pictures of its own prompts. Raises KLoraError for a LoRA that is off."""
    if any(strength == 0 for strength in job.strengths):
        off = next(member.name for member in job.members if member.strength == 0)
        raise KLoraError(f"Give {off} a strength other than 0, or leave it out of the set.")
    assert job.negative is not None
    return [
        own_pictures(
            job.model, member.tensors, member.strength, prompts, job.negative, job.pictures,
            replace(job.sampling, seed=job.seed + 1000 * i),
        )
        for i, (member, prompts) in enumerate(zip(job.members, job.prompts, strict=True))
    ]  # fmt: skip


def _known(
    on: OnHost, factors: Factors, items: Sequence[Sequence[Item]], count: int, seed: int, together: int
) -> list[Known]:
    return [
        train.known(on, own, count, seed + i, train.alone(factors, i), together)
        for i, own in enumerate(items)
    ]


def losses_in_words(losses: Sequence[float]) -> list[str]:
    """How far the loss fell."""
    if not losses:
        return []
    part = max(1, len(losses) // 10)
    first, last = (sum(some) / part for some in (losses[:part], losses[-part:]))
    return [f"Loss over {len(losses)} steps: {first:.4g} in the first tenth, {last:.4g} in the last."]


def _beside(
    on: OnHost,
    factors: Factors,
    deltas: Mapping[Slot, LowRank],
    unseen: Sequence[Known],
    together: int,
) -> list[str]:
    """How far the plain sums and the result are from what they should answer."""
    one = train.factored([Row(slot, (change,)) for slot, change in deltas.items()], on.device)
    by_name = {f"plain sum at {s:g}": train.at_strengths(factors, (s,) * factors.count) for s in SUMS}
    found = {
        name: [train.distance(on, own, changes, together) for own in unseen]
        for name, changes in {**by_name, "what was learned": train.at_strengths(one, (1.0,))}.items()
    }
    return [
        "Error of the model's answers on noise that nothing was learned from (less is nearer):",
        *(f"  {name}: {', '.join(f'{each:.4g}' for each in errors)}" for name, errors in found.items()),
    ]


def _numbers(job: Job, weighted: Weighted) -> list[str]:
    """The mean and the spread of each LoRA's columns and rows."""
    lines = []
    for i, member in enumerate(job.members):
        said = []
        for side, found in (("columns", weighted.columns), ("rows", weighted.rows)):
            own = [v.detach().flatten() for each in found.values() if isinstance(v := each[i], Tensor)]
            if own:
                values = torch.cat(own)
                said.append(f"{side} {float(values.mean()):.3f} +- {float(values.std(correction=0)):.3f}")
        if said:
            lines.append(f"{member.name}: {', '.join(said)}")
    return lines


@dataclass(frozen=True)
class Way:
    """One of the ways: what names it, whether it wants pictures of the combination, and its work."""

    name: str
    label: str
    paper: str
    of_combination: bool
    work: Callable[[Job, str], Outcome]


WAYS = (
    Way("taught", "taught", "columns and rows, this pack's own way", True, taught),
    Way("ziplora", "ZipLoRA", "arXiv 2311.13600", False, zip_lora),
    Way("calibrated", "calibrated", "SSR-Merge, arXiv 2606.10617", False, calibrated),
)


def merged(way: Way, job: Job, outcome: Outcome) -> Merged:
    """The outcome as every merge of the pack is handed on."""
    return Merged(
        outcome.deltas,
        way,
        dict(job.values),
        job.strengths,
        tuple(member.role for member in job.members),
        {},
        {},
        tuple(member.blocks for member in job.members),
    )


def in_their_blocks(table: Sequence[Row], members: Sequence[Member]) -> list[Row]:
    """The rows with each LoRA as strong as its blocks say, beside its strength."""
    within = [strengths_of(member.blocks) for member in members]
    return [
        Row(
            row.slot,
            tuple(
                None if delta is None else delta.scaled(own.of(row.slot.name))
                for delta, own in zip(row.deltas, within, strict=True)
            ),
        )
        for row in table
    ]
