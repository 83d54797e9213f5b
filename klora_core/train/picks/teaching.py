"""How what was picked is learned: where it begins, how long it goes, and how varied its pictures stay.

Begun anew each round from all picks so far. Few pictures are learned in fewer steps: with as many as from
four, two would become the only picture that there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..taught import BOTH, Options
from .text import Pick


@dataclass(frozen=True)
class Recipe:
    """How picks are learned; ``enough`` pictures in all ``steps``, fewer in their share of them."""

    sides: str = BOTH
    steps: int = 200
    rate: float = 0.03
    batch: int = 8
    copies: int = 192
    enough: int = 4

    def steps_for(self, pictures: int) -> int:
        """The steps for so many pictures."""
        return max(1, round(self.steps * min(1.0, pictures / self.enough)))


def start_of(picks: Sequence[Pick], count: int) -> tuple[float, ...]:
    """The strengths of ``count`` LoRAs that the columns begin at: the mean over the sums that were picked.

    Where none was, those of a sum that is as large as one LoRA alone, if they have nothing in common.
    """
    sums = [pick.rule.strengths for pick in picks if pick.rule.strengths]
    if not sums:
        return (round(1 / math.sqrt(count), 2),) * count
    each = [own * count if len(own) == 1 else own for own in sums]
    return tuple(sum(own) / len(each) for own in zip(*each, strict=True))


def options_of(
    picks: Sequence[Pick],
    strengths: Sequence[float],
    recipe: Recipe | None = None,
    liked: int = 0,
    seed: int = 0,
    at_once: int = 1,
) -> Options:
    """What :func:`klora_core.train.taught` is told to learn ``picks`` and ``liked`` given pictures.

    ``strengths`` are the LoRAs' own, which sums multiply.
    """
    recipe = Recipe() if recipe is None else recipe
    start = start_of(picks, len(strengths))
    return Options(
        sides=recipe.sides,
        steps=recipe.steps_for(len(picks) + liked),
        rate=recipe.rate,
        batch=recipe.batch,
        copies=recipe.copies,
        start=tuple(own * given for own, given in zip(start, strengths, strict=True)),
        seed=seed,
        at_once=at_once,
    )


def spread(latents: Sequence[Tensor]) -> float:
    """How varied pictures of one shape are: the mean distance between two of them; 0 for fewer than two."""
    flat = [latent.double().flatten() for latent in latents]
    pairs = [
        float((one - other).norm()) for i, one in enumerate(flat) for other in flat[i + 1 :]
    ]  # fmt: skip
    return sum(pairs) / len(pairs) if pairs else 0.0
