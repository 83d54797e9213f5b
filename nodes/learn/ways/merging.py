"""One ordinary LoRA of several: taught, ZipLoRA, calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import comfy.sd
import comfy.utils
import torch
from torch import Tensor

from ....klora_core import train
from ....klora_core.deltas import LowRank, Row, check_ungated, rows
from ....klora_core.loras import labels_of
from ....klora_core.merges import Merged
from ....klora_core.names import Slot, strengths_of
from ....klora_core.train import Known, Learned, Weighted
from ...composing import Member
from ...loras import LoraStateDict
from ...merged import lines_of, lora_of
from ...training import Needs, OnHost
from ..on_second import going_on, learning
from . import telling
from .job import COPIES, TOGETHER, UNSEEN, Job, Outcome, known_alone, own_items


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
    factors = train.factored(_rows(job), job.model.load_device, on_or_off)
    begun = train.begun(factors, job.strengths, options.sides)
    with learning(job.model, factors, job.shown[0], begun) as (on, needs):
        options = replace(options, at_once=needs.at_once(options.batch))
        made = train.taught(factors, job.shown, on, options, **going_on(name, options.steps))
        unseen = [train.targets(on, job.shown, 2 * UNSEEN, job.seed + 1)]
        return _learned(job, on, needs, factors, made, unseen)


def zip_lora(job: Job, name: str) -> Outcome:
    """ZipLoRA's columns by what each LoRA says alone."""
    options = train.ZipOptions(
        steps=job.values["steps"], rate=job.values["rate"], overlap=job.values["overlap"], seed=job.seed
    )
    factors = train.factored(_rows(job), job.model.load_device, job.strengths)
    items = own_items(job)
    begun = train.begun(factors, (1.0,) * factors.count, "columns")
    with learning(job.model, factors, items[0][0], begun) as (on, needs):
        together = needs.at_once(TOGETHER)
        each = known_alone(on, factors, items, COPIES, job.seed, together)
        made = train.zip_lora(factors, each, on, options, **going_on(name, options.steps))
        unseen = known_alone(on, factors, items, UNSEEN, job.seed + 1000, together)
        return _learned(job, on, needs, factors, made, unseen)


def calibrated(job: Job, name: str) -> Outcome:
    """SSR-Merge: one pass over what each LoRA says alone."""
    factors = train.factored(_rows(job), job.model.load_device, job.strengths)
    items = own_items(job)
    begun = train.begun(factors, (1.0,) * factors.count, "columns")
    with learning(job.model, factors, items[0][0], begun, gradients=False) as (on, needs):
        together = needs.at_once(TOGETHER)
        bar = comfy.utils.ProgressBar(-(-COPIES // together) * factors.count)
        made = train.calibrated(factors, items, on, COPIES, job.seed, together, tick=lambda: bar.update(1))
        unseen = known_alone(on, factors, items, UNSEEN, job.seed + 1000, together)
        lines = telling.beside(on, factors, _whole(made.deltas, on), unseen, together)
        lines += _energies(job, factors, made.deltas)
    if made.as_sum:
        lines.append(f"{len(made.as_sum)} layers never ran, or run in groups: the plain sum there.")
    return _outcome(job, made.deltas, (), lines)


def with_lora(job: Job, lora: LoraStateDict) -> tuple[Any, str]:
    """The model with the LoRA as core's loaders put it on."""
    return comfy.sd.load_lora_for_models(job.model, None, dict(lora), 1.0, 0)[0], ""


def _learned(
    job: Job, on: OnHost, needs: Needs, factors: train.Factors, made: Learned, unseen: Sequence[Known]
) -> Outcome:
    lines = [
        *telling.losses_in_words(made.losses),
        *telling.beside(on, factors, _whole(made.deltas, on), unseen, needs.at_once(TOGETHER)),
        *_numbers(job, made.weighted),
        *_energies(job, factors, made.deltas),
        *telling.never_ran(on),
        needs.line(),
    ]
    return _outcome(job, made.deltas, made.losses, lines)


def _outcome(
    job: Job, deltas: dict[Slot, LowRank], losses: tuple[float, ...], lines: Sequence[str]
) -> Outcome:
    done = Merged(
        deltas,
        job.way,
        dict(job.values),
        job.strengths,
        tuple(member.role for member in job.members),
        {},
        {},
        tuple(member.blocks for member in job.members),
    )
    lora = lora_of(done, job.members, job.model, "fp32")
    said = (*lines_of(done, job.members, job.loras), *lines)
    return Outcome(dict(lora), lora.file, lora.metadata, said, losses)


def _whole(deltas: Mapping[Slot, LowRank], on: OnHost) -> Weighted:
    """The merged LoRA as it is."""
    one = train.factored([Row(slot, (change,)) for slot, change in deltas.items()], on.device)
    return train.at_strengths(one, (1.0,))


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


def _energies(job: Job, factors: train.Factors, deltas: Mapping[Slot, LowRank]) -> list[str]:
    """How much of the result each LoRA is, in all layers and in those where that is least and most."""
    shares = train.energy_shares(factors, deltas)
    if not shares:
        return []
    lines = ["Share of each LoRA in the result's energy, a layer, on average (least, most):"]
    for i, member in enumerate(job.members):
        own = {slot.name: found[i] for slot, found in shares.items()}
        least, most = min(own, key=own.__getitem__), max(own, key=own.__getitem__)
        mean = sum(own.values()) / len(own)
        lines.append(f"  {member.name}: {mean:.0%} ({own[least]:.0%} in {least}, {own[most]:.0%} in {most})")
    return lines


def _rows(job: Job) -> list[Row]:
    """The LoRAs side by side. Raises KLoraError for one that no matrix tells."""
    table = rows(job.slots, labels_of([member.role for member in job.members]))
    check_ungated(table, [lora.name for lora in job.loras], "merged")
    return in_their_blocks(table, job.members)


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
