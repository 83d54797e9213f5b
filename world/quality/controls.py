"""Controls that no paper has: decisions with the same numbers and none of the method's knowledge. int8
[steps, slots].
"""

from __future__ import annotations

import numpy as np

Choices = np.ndarray


def by_chance(choices: Choices, rng: np.random.Generator) -> Choices:
    """In each step as many slots of the style as the method has, drawn anew."""
    out = np.zeros_like(choices)
    for step, row in enumerate(choices):
        out[step, rng.choice(row.size, int(row.sum()), replace=False)] = 1
    return out


def shuffled(choices: Choices, rng: np.random.Generator) -> Choices:
    """The slots' scores dealt to other slots, once for the whole run: when is kept, where is lost."""
    return choices[:, rng.permutation(choices.shape[1])]


def reversed_time(choices: Choices, rng: np.random.Generator) -> Choices:
    """The last step's decisions first: where is kept, when is turned round."""
    return choices[::-1].copy()


def half(choices: Choices, rng: np.random.Generator) -> Choices:
    """In each step a random half of the slots to each LoRA."""
    steps, slots = choices.shape
    return by_chance(np.repeat([np.arange(slots) % 2], steps, axis=0), rng)
