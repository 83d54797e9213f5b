"""The Train a Merge node: a set of LoRAs to one LoRA that is learned on the user's own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.sd
from comfy_api.latest import io
from torch import Tensor

from ...klora_core.deltas import check_ungated, rows
from ...klora_core.errors import KLoraError
from ...klora_core.loras import labels_of
from ...klora_core.train import Item
from ..composing import Member, at_work
from ..inputs import checked
from ..inputs import shown as in_words
from ..loras import HostLora, LoraStateDict, read
from ..merged import lines_of, lora_of
from ..training import Sampling, given, keep, take
from .category import CATEGORY
from .merge_inputs import OWN, inputs
from .merging import WAYS, Job, Way, in_their_blocks, merged
from .on_second import check_learnable
from .prompts import encoded, prompts_of

LossMap = io.Custom("LOSS_MAP")


class KLoRATrainMerge(io.ComfyNode):
    """Learn one LoRA of several on the model that they are for."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRATrainMerge",
            display_name="Train a Merge",
            category=CATEGORY,
            description="Learns one ordinary LoRA of several on your own model. taught, with a few pictures "
            "of the combination, is the way that pays. The report holds it against the plain sums.",
            search_aliases=["klora", "ziplora", "train lora", "ssr-merge", "learn merge", "zip lora"],
            inputs=inputs(),
            outputs=[
                io.LoraModel.Output(
                    "lora", tooltip="One ordinary LoRA, to save, to load, or to fuse further."
                ),
                io.Model.Output("model", tooltip="The model with that LoRA on it at strength 1."),
                io.String.Output("report", tooltip="What was learned, beside the plain sums."),
                LossMap.Output("loss", tooltip="The loss of each step, as core's Train LoRA gives it."),
            ],
            accept_all_inputs=True,
        )

    @classmethod
    @checked
    def execute(
        cls,
        model: Any,
        clip: Any,
        set: Sequence[Member],
        method: Any,
        prompt: str = "",
        images: Tensor | None = None,
        vae: Any | None = None,
        latents: Any | None = None,
        prompts: str = "",
        pictures: int = 8,
        seed: int = 0,
        width: int = 1024,
        height: int = 1024,
        sampling_steps: int = 20,
        cfg: float = 4.0,
    ) -> io.NodeOutput:
        way, values = _chosen(method)
        check_learnable(model)
        loras = [read(member.tensors, member.name, model, None) for member in set]
        slots = at_work(model, loras, [member.blocks for member in set])
        table = rows(slots, labels_of([member.role for member in set]))
        check_ungated(table, [lora.name for lora in loras], "merged")
        shown: list[Item] = []
        told: list[list[list]] = []
        if way.of_combination:
            shown = _shown(clip, set, prompt, given(model, latents, images, vae))
        else:
            told = [[encoded(clip, text) for text in own] for own in prompts_of(set, prompts)]
        job = Job(
            model,
            set,
            in_their_blocks(table, set),
            values,
            told,
            encoded(clip, "") if told else None,
            shown,
            pictures,
            Sampling(width, height, sampling_steps, cfg, seed),
        )
        tensors, told_of, losses = _learned(way, job, loras)
        lora = LoraStateDict(tensors, *told_of[:2])
        with_lora = comfy.sd.load_lora_for_models(model, None, dict(lora), 1.0, 0)[0]
        return io.NodeOutput(lora, with_lora, told_of[2], {"loss": losses})


def _learned(way: Way, job: Job, loras: Sequence[HostLora]) -> tuple[dict, tuple[str, dict, str], list]:
    """The LoRA's tensors; its name, header and report; each step's loss: kept for an equal run."""
    name = job.name_by(way)
    result = take(f"{name}-result")
    if result is None:
        outcome = way.work(job, name)
        done = merged(way, job, outcome)
        lora = lora_of(done, job.members, job.model, "fp32")
        report = "\n".join([*lines_of(done, job.members, loras), *outcome.lines])
        result = {
            "tensors": dict(lora),
            "told": [lora.file, lora.metadata, report],
            "losses": list(outcome.losses),
        }
        keep(f"{name}-result", result)
    return result["tensors"], tuple(result["told"]), result["losses"]


def _chosen(value: Mapping[str, Any]) -> tuple[Way, dict[str, Any]]:
    """The way, by its label or its name, and all its values. Raises KLoraError."""
    sent = dict(value)
    chosen = sent.pop("method")
    found = next((way for way in WAYS if chosen in (way.label, way.name)), None)
    if found is None:
        labels = ", ".join(way.label for way in WAYS)
        raise KLoraError(f"method must be one of {labels}, got {in_words(chosen)}.")
    return found, {each.id: sent.get(each.id, each.default) for each in OWN[found.name]}


def _shown(clip: Any, members: Sequence[Member], prompt: str, latents: Tensor | None) -> list[Item]:
    """The pictures of the combination, all under the joint prompt. Raises KLoraError where there are none."""
    if latents is None:
        raise KLoraError(
            "Connect images (with a VAE) or latents: taught learns from pictures of the combination. Four "
            "that you like are enough: from any sampler, any strengths, or another tool."
        )
    text = prompt.strip() or ", ".join(each[0] for each in prompts_of(members, ""))
    condition = encoded(clip, text)
    return [Item(latent, condition) for latent in latents.split(1)]
