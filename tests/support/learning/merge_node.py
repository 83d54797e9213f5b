"""Train a Merge on tiny networks that the host can load a second time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from tests.support.families.inputs import FAMILIES, conditioning
from tests.support.host.nodes import lora_set, part
from tests.support.host.reference import random_lora


class Merged(NamedTuple):
    """The four outputs of the node."""

    lora: Any
    model: Any
    report: str
    loss: dict[str, list[float]]

    @property
    def errors(self) -> dict[str, float]:
        """What the report says of the plain sums and of what was learned, summed over the prompts."""
        said = [line.strip().split(": ") for line in self.report.splitlines() if line.startswith("  ")]
        named = [each for each in said if each[0].startswith(("plain sum", "what was"))]
        return {name: sum(map(float, values.split(", "))) for name, values in named}


class Encoder:
    """Any text as a family's conditioning, as a CLIP gives it: nodes ask a CLIP for no more than this."""

    cond_stage_model = None

    def __init__(self, family: str) -> None:
        self._family = family

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens_scheduled(self, tokens: str) -> list:
        return conditioning(self._family, int(hashlib.sha256(tokens.encode()).hexdigest()[:8], 16))


def loras(pack: Any, model: Any, count: int, layers: str = "attention", scale: float = 0.5) -> list:
    """Random LoRAs of ranks 2, 3, .. with names, on the layers that Train LoRA for Fusion calls so."""
    names = [slot.weight for slot in part(pack, "nodes.training").sizes(model, layers)]
    stored = part(pack, "nodes.loras").LoraStateDict
    return [
        stored(random_lora(model.model, names, 2 + i, 5 + i, scale), f"{name}.safetensors")
        for i, name in enumerate(("bird", "ink", "cat", "oil")[:count])
    ]


def set_of(
    pack: Any, given: Sequence[Any], roles: Sequence[str] = (), strengths: Sequence[float] = ()
) -> Any:
    """LoRAs as a set: a subject, then styles."""
    roles = roles or ["subject", *["style"] * (len(given) - 1)]
    return lora_set(pack, *zip(given, roles, strengths or [1.0] * len(given), strict=True))


def train_merge(
    pack: Any, model: Any, family: str, given: Any, method: str, values: dict | None = None, **more: Any
) -> Merged:
    """KLoRATrainMerge with few, small pictures; every LoRA has a prompt of its own."""
    height, width = FAMILIES[family].size
    short = {"pictures": 2, "width": 8 * width, "height": 8 * height, "sampling_steps": 1, "cfg": 1.0}
    prompts = "\n".join(f"prompt {i}" for i in range(len(given)))
    node = part(pack, "nodes").KLoRATrainMerge
    with torch.inference_mode():
        made = node.execute(
            model,
            Encoder(family),
            given,
            {"method": method, **(values or {})},
            **{"prompts": prompts, **short, **more},
        )
    return Merged(*made.result)
