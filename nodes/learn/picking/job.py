"""All that decides on the pictures of Pick and Learn and on what is learned, and the names that it gives."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.sd
from torch import Tensor

from ....klora_core.deltas import Row, check_ungated, rows
from ....klora_core.errors import KLoraError
from ....klora_core.loras import OTHER, labels_of
from ....klora_core.train.picks import Pick, Picks, Recipe, Rule
from ...composing import Member, at_work
from ...loras import HostLora, read
from ...training import Sampling, content_of, digest
from ..prompts import prompts_of, triggers_of


@dataclass(frozen=True, eq=False)
class Job:
    """What a node was sent, read. ``model`` has the LoRAs of the role other on it, ``members`` are all but
    those; ``table`` has their layers, ``liked`` latents as the network sees them, ``name`` is a digest of all
    that decides on a picture but its rule and its noise; ``left`` tells of usual rules that do not fit,
    ``names`` are those that were worked out."""

    model: Any
    members: tuple[Member, ...]
    loras: tuple[HostLora, ...]
    table: tuple[Row, ...]
    prompt: str
    positive: list
    negative: list
    how: Sampling
    picks: Picks
    rules: tuple[Rule, ...]
    liked: tuple[Tensor, ...]
    recipe: Recipe
    name: str
    left: tuple[str, ...] = ()
    names: dict[Rule, str] = field(default_factory=dict)

    @property
    def roles(self) -> tuple[str, ...]:
        """Of each LoRA that takes part."""
        return tuple(member.role for member in self.members)

    @property
    def strengths(self) -> tuple[float, ...]:
        """Of each LoRA that takes part."""
        return tuple(member.strength for member in self.members)

    def taught_by(self, round: int) -> tuple[Pick, ...]:
        """The picks that ``learned ROUND`` is learned from, in an order that no click decides."""
        before = self.picks.before(round)
        return tuple(sorted(before, key=lambda pick: (pick.round, pick.rule.name, pick.seed)))

    def name_of(self, rule: Rule) -> str:
        """A rule's own name; of what is learned that of all that decides on it."""
        if rule not in self.names:
            # What was learned of what was learned: each is worked out once.
            self.names[rule] = f"{self.name}-{_short(self._decides(rule))}"
        return self.names[rule]

    def _decides(self, rule: Rule) -> str:
        if not rule.is_learned:
            return rule.name
        shown = [(self.name_of(pick.rule), pick.seed) for pick in self.taught_by(rule.round)]
        return content_of(shown, list(self.liked), self.recipe)

    def name_of_lora(self, rule: Rule) -> str:
        """That of a rule's LoRA, whose file tells the names of those that it is made of, and their words."""
        told = [(member.name, member.header) for member in self.members]
        return f"{self.name_of(rule)}-{content_of(told)[:16]}"

    def name_of_picture(self, rule: Rule, seed: int) -> str:
        """That of the latent of a picture."""
        return f"{self.name_of(rule)}-{seed}"


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def parted(model: Any, members: Sequence[Member]) -> tuple[Any, tuple[Member, ...]]:
    """The model with the LoRAs of the role other on it, and those that take part. Raises KLoraError."""
    for member in members:
        if member.role != OTHER or not member.strength:
            continue
        if member.blocks:
            raise KLoraError(
                f"a LoRA of the role {OTHER} works in all layers here.",
                f"Leave blocks of {member.name} empty",
            )
        lora = dict(member.tensors)
        model = comfy.sd.load_lora_for_models(model, None, lora, member.strength, 0)[0]
    left = tuple(member for member in members if member.role != OTHER)
    if not left:
        raise KLoraError("no LoRA of the set takes part.", "Give at least one the role subject or style")
    if not any(member.strength for member in left):
        raise KLoraError(
            "every LoRA of the set has strength 0.", "Give one LoRA another strength in LoRA Set, such as 1"
        )
    return model, left


def layers_of(model: Any, members: Sequence[Member]) -> tuple[tuple[HostLora, ...], tuple[Row, ...]]:
    """The LoRAs as the model understands them, and their layers side by side. Raises KLoraError."""
    loras = tuple(read(member.tensors, member.name, model, None) for member in members)
    slots = at_work(model, loras, [member.blocks for member in members])
    table = rows(slots, labels_of([member.role for member in members]))
    check_ungated(table, [lora.name for lora in loras], "learned")
    return loras, table


def own_prompts(member: Member, prompt: str) -> list[str]:
    """What a LoRA is asked for alone: by its trigger words, or by the prompt, which holds them."""
    return prompts_of([member], "")[0] if triggers_of(member) else [prompt]


def named(job: Job, model: Any, others: Sequence[Member]) -> Job:
    """The job with its name; ``model`` is the one that came in, ``others`` the LoRAs of the role other."""
    held = [
        (dict(m.tensors), m.strength, m.role, m.blocks, m.when, own_prompts(m, job.prompt))
        for m in job.members
    ]
    beside = [(dict(m.tensors), m.strength) for m in others]
    how = replace(job.how, seed=0)
    return replace(job, name=digest(model, held, beside, job.positive, job.negative, how))
