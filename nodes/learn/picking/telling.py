"""The report of Pick and Learn: what the round shows, what was liked, what comes out, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ....klora_core.train.picks import NOTHING, Picture, Rule, counts, spread
from ...merged import unmerged
from ...training import amount
from .job import Job

# Of the variety of a rule's pictures, below which more pictures should be picked.
_VARIED = 0.8


def hint(job: Job) -> str:
    """What to do where nothing was picked after a sheet; empty where something was."""
    if job.picks.picks or job.liked or job.picks.round == 1:
        return ""
    return f"Nothing is picked yet, so nothing was learned. {NOTHING}"


def heading(job: Job, pictures: Sequence[Picture], shown: Sequence[Rule], whole: int) -> list[str]:
    """Which pictures these are."""
    of = f"{len(pictures)} of {whole} pictures" if len(pictures) < whole else f"{whole} pictures"
    if job.picks.taken:
        return [f"Taken after round {job.picks.round}. The pictures are the {len(pictures)} that you picked."]
    if not shown:
        names = ", ".join(rule.name for rule in job.rules)
        first = f"Round {job.picks.round}: {of}, in no order, by {len(job.rules)} rules: {names}."
        return [
            first,
            *job.left,
            "lora and model come out once something was learned, or taken.",
        ]
    names = " | ".join(rule.name for rule in shown)
    return [f"Round {job.picks.round}: {of}, side by side from the same noises: {names}."]


def liked(job: Job) -> list[str]:
    """Which rules' pictures were picked."""
    lines = []
    if job.picks.picks:
        said = ", ".join(f"{rule.name} ({count})" for rule, count in counts(job.picks.picks))
        lines.append(f"The pictures you picked, by rule: {said}.")
    if job.liked:
        lines.append(f"Pictures of your own: {len(job.liked)}.")
    return lines


def learned(job: Job, rule: Rule, lines: Sequence[str]) -> list[str]:
    """From what a LoRA was learned."""
    count = len(job.taught_by(rule.round)) + len(job.liked)
    pictures = "picture" if count == 1 else "pictures"
    few = "" if count >= job.recipe.enough else f" Pick {job.recipe.enough} or more, and different ones."
    said = f"{rule.name}: from {count} {pictures} in {job.recipe.steps_for(count)} steps.{few}"
    return [said, *lines, *unmerged(job.members, job.loras)]


def variety(latents: Mapping[Rule, Mapping[int, Tensor]]) -> list[str]:
    """How varied the pictures of what was learned are beside those of the rules, where the noises are the
    same; ``latents`` are by rule and noise."""
    lines = []
    for rule, own in latents.items():
        for other, others in latents.items():
            noises = own.keys() & others.keys()
            if rule.is_learned and not other.is_learned and len(noises) > 1:
                mine, theirs = (spread([made[noise] for noise in noises]) for made in (own, others))
                share = mine / max(theirs, 1e-12)
                said = f"Variety: pictures of {rule.name} differ {share:.2f} times as much as those of "
                less = " Pick more pictures, and more different ones." if share < _VARIED else ""
                lines.append(f"{said}{other.name}, over {len(noises)} noises.{less}")
    return lines


def cost(job: Job, made: int, pictures: int, images: int) -> str:
    """What the sheet took; ``images`` is how many bytes IMAGE has."""
    calls = job.how.steps * (1 if job.how.cfg == 1 else 2)
    held = f" images holds {amount(images)} of memory." if images >= 1 << 20 else ""
    return f"Made now: {made} of {pictures} pictures, {calls} evaluations of the model each.{held}"


def taken(job: Job, rule: Rule) -> list[str]:
    """What the outputs are."""
    if rule.is_lora:
        return [f"Taken: {rule.name}. lora and model are that."]
    return [
        f"Taken: {rule.name}, which no LoRA file can hold. model works by it; lora is what your picks "
        "taught. Elsewhere Compose LoRAs makes it."
    ]
