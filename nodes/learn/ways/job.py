"""What is to be learned of several LoRAs, and from what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import comfy.sd
from torch import Tensor

from ....klora_core import train
from ....klora_core.deltas import Deltas
from ....klora_core.errors import KLoraError
from ....klora_core.train import Factors, Item, Known
from ...composing import Member
from ...loras import HostLora, LoraStateDict
from ...training import OnHost, Sampling, digest, own_pictures
from ..alone import alone

# Of each LoRA's own pictures, and how many of them in a call where the model is small.
COPIES, TOGETHER = 96, 8
# Copies of what was not learned from, on which results and plain sums are held against each other.
UNSEEN = 8


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was learned: its file's tensors, name and header, what to say, and each step's loss."""

    tensors: dict[str, Tensor]
    file: str
    header: dict[str, str]
    lines: tuple[str, ...]
    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class Way:
    """One of the ways: what names it, what it is shown, and its work.

    ``of_combination``: pictures of the combination, else each LoRA's own; ``learns``: on a second model, else
    from the files alone; ``all_roles``: the LoRAs of the role other take part too. ``applied`` gives a model
    with the outcome on it, and what there is to say of that.
    """

    name: str
    label: str
    paper: str
    work: Callable[[Job, str], Outcome]
    applied: Callable[[Job, LoraStateDict], tuple[Any, str]]
    of_combination: bool = False
    learns: bool = True
    all_roles: bool = True


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be learned, and from what.

    ``members`` take part, with the slots that they change; ``beside`` do not. ``prompts`` are each one's own,
    ``shown`` pictures of the combination: only what a way asks for is there.
    """

    way: Way
    model: Any
    members: Sequence[Member]
    loras: Sequence[HostLora]
    slots: Sequence[Deltas]
    values: Mapping[str, Any]
    prompts: Sequence[Sequence[list]] = ()
    negative: list | None = None
    shown: Sequence[Item] = ()
    pictures: int = 8
    sampling: Sampling = field(default_factory=Sampling)
    beside: Sequence[Member] = ()

    @property
    def name(self) -> str:
        """Under which an equal run goes on, or has its result."""
        loras = [
            (dict(m.tensors), m.name, m.header, m.strength, m.role, m.blocks, m.when) for m in self.members
        ]
        seen = [(item.latent, item.condition) for item in self.shown]
        mine = self.values, self.prompts, self.negative, seen, self.pictures, self.sampling
        return digest(self.model, self.way.name, loras, mine)

    @property
    def strengths(self) -> tuple[float, ...]:
        """Of each LoRA."""
        return tuple(member.strength for member in self.members)

    @property
    def seed(self) -> int:
        """Of pictures, noise and order."""
        return self.sampling.seed


def own_items(job: Job) -> list[list[Item]]:
    """Each LoRA's pictures of its own prompts. Raises KLoraError for a LoRA that is off."""
    if any(strength == 0 for strength in job.strengths):
        off = next(member.name for member in job.members if member.strength == 0)
        raise KLoraError(
            f"{job.way.label} learns from pictures of each LoRA alone.",
            f"Give {off} a strength other than 0, or leave it out of the set",
        )
    assert job.negative is not None
    return [
        own_pictures(
            job.model, (dict(member.tensors), member.strength, member.blocks), partial(_put_on, job, i),
            job.prompts[i], job.negative, job.pictures, replace(job.sampling, seed=job.seed + 1000 * i),
        )
        for i, member in enumerate(job.members)
    ]  # fmt: skip


def _put_on(job: Job, i: int) -> Any:
    """The model with one LoRA on it, in the blocks that are its own."""
    member = job.members[i]
    if not member.blocks:
        return comfy.sd.load_lora_for_models(job.model, None, dict(member.tensors), member.strength, 0)[0]
    return alone(job.model, member) if job.slots[i] else job.model


def known_alone(
    on: OnHost, factors: Factors, items: Sequence[Sequence[Item]], count: int, seed: int, together: int
) -> list[Known]:
    """What each LoRA answers alone to ``count`` copies of its own ``items``."""
    return [
        train.known(on, own, count, seed + i, train.alone(factors, i), together)
        for i, own in enumerate(items)
    ]
