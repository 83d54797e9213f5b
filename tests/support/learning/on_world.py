"""Train a Merge on the small world."""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor

from tests.support.host.nodes import part
from tests.support.learning.world import TRIGGERS, Words, good_latents
from world.hosts.in_host import conditioning, sample

PAIR = "owl", "mosaic"
PROMPT = f"{TRIGGERS['owl']} {TRIGGERS['mosaic']}"
SHORT = {"pictures": 1, "width": 96, "height": 96, "sampling_steps": 2, "cfg": 1.0}


def run(pack: Any, model: Any, given: Any, method: dict[str, Any], **more: Any) -> Any:
    """The node's four outputs."""
    return part(pack, "nodes").KLoRATrainMerge.execute(model, Words(), given, method, **more).result


@functools.cache
def good(model: Any, count: int) -> dict[str, Tensor]:
    """Pictures of the pair, as LATENT."""
    return good_latents(model, *PAIR, count)


def teach(
    pack: Any, model: Any, given: Any, steps: int = 8, values: dict[str, Any] | None = None, **more: Any
) -> Any:
    """The same, taught by two pictures."""
    more = {"prompt": PROMPT, "latents": good(model, 2), **more}
    return run(pack, model, given, {"method": "taught", "steps": steps, **(values or {})}, **more)


def picture(model: Any) -> Tensor:
    """What a model makes of the pair's prompt, as a latent."""
    return sample(model, conditioning(PROMPT), conditioning(""), 3, 1, steps=2, cfg=1.0)
