"""Train LoRA for Fusion on tiny networks that the host can load a second time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from tests.support.families.again import latent
from tests.support.host.nodes import part


class Trained(NamedTuple):
    """The five outputs of the node."""

    lora: Any
    style_lora: Any
    model: Any
    report: str
    loss: dict[str, list[float]]


def pictures(model: Any, family: str, *seeds: int) -> dict[str, torch.Tensor]:
    """A LATENT of random pictures, as VAE Encode gives it."""
    seen = torch.cat([latent(model, family, seed) for seed in seeds])
    return {"samples": model.model.process_latent_out(seen)}


def train(
    pack: Any,
    model: Any,
    latents: Sequence[Any],
    positive: Sequence[Any],
    method: str = "plain",
    prompts: Sequence[Any] = (),
    *,
    steps: int = 4,
    rate: float = 0.01,
    rank: int = 4,
    **options: Any,
) -> Trained:
    """KLoRATrainLora as the host calls it, every input a list; ``prompts``: the content's and the style's."""
    halves = {name: [prompt] for name, prompt in zip(("content", "style"), prompts, strict=False)}
    own = {"steps": [steps], "rate": [rate], "rank": [rank], **halves}
    given = {"batch": 1, "seed": 0, **options}
    with torch.inference_mode():
        made = part(pack, "nodes").KLoRATrainLora.execute(
            model=[model],
            latents=list(latents),
            positive=list(positive),
            method={"method": [method], **own},
            **{key: [value] for key, value in given.items()},
        )
    return Trained(*made.result)
