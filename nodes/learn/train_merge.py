"""The Train a Merge node: a set of LoRAs to one LoRA, or to a gate, learned on the user's own model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ...klora_core.errors import KLoraError
from ...klora_core.loras import OTHER
from ...klora_core.train import Item
from ..composing import Member, at_work
from ..inputs import check_counts, checked, chosen
from ..loras import LoraStateDict, read
from ..training import Sampling, check, given, recall
from .category import CATEGORY
from .merge_inputs import inputs
from .prompts import encoded, prompt_of, prompts_of
from .ways import OWN, WAYS, Job, Outcome

LossMap = io.Custom("LOSS_MAP")


class KLoRATrainMerge(io.ComfyNode):
    """Learn one LoRA of several on the model that they are for."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRATrainMerge",
            display_name="Train a Merge",
            category=CATEGORY,
            description="Learns one ordinary LoRA of several on your own model, or a gate that weighs them. "
            "taught, with a few pictures of the combination, is the way that pays. The report holds it "
            "against the plain sums.",
            search_aliases=[
                "klora",
                "ziplora",
                "train lora",
                "ssr-merge",
                "learn merge",
                "zip lora",
                "mole",
                "arrow",
                "train gate",
            ],
            inputs=inputs(),
            outputs=[
                io.LoraModel.Output(
                    "lora",
                    tooltip="One ordinary LoRA, to save, to load, or to fuse further. Of MoLE gate and Arrow "
                    "the gate alone, for Compose LoRAs.",
                ),
                io.Model.Output(
                    "model",
                    tooltip="The model with that LoRA on it at strength 1; or with the LoRAs and their gate.",
                ),
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
        way, sent = chosen(method, WAYS)
        values = {each.id: sent.get(each.id, each.default) for each in OWN[way.name]}
        members = [member for member in set if way.all_roles or member.role != OTHER]
        if way.learns:
            steps = {"steps": values["steps"]} if "steps" in values else {}
            check_counts(
                pictures=pictures, width=width, height=height, sampling_steps=sampling_steps, **steps
            )
            check(model)
        loras = [read(member.tensors, member.name, model, None) for member in members]
        slots = at_work(model, loras, [member.blocks for member in members])
        shown: list[Item] = []
        told: list[list[list]] = []
        if way.of_combination:
            shown = _shown(clip, members, prompt, given(model, latents, images, vae))
        elif way.learns:
            told = [[encoded(clip, text) for text in own] for own in prompts_of(members, prompts)]
        job = Job(
            way,
            model,
            members,
            loras,
            slots,
            values,
            told,
            encoded(clip, "") if told else None,
            shown,
            pictures,
            Sampling(width, height, sampling_steps, cfg, seed),
            [member for member in set if member not in members],
        )
        outcome = _learned(job) if way.learns else way.work(job, "")
        lora = LoraStateDict(outcome.tensors, outcome.file, outcome.header)
        applied, more = way.applied(job, lora)
        report = "\n".join([*outcome.lines, *(["", more] if more else [])])
        return io.NodeOutput(lora, applied, report, {"loss": list(outcome.losses)})


def _learned(job: Job) -> Outcome:
    """What the way gives, kept for an equal run."""
    name = job.name

    def make() -> dict[str, Any]:
        outcome = job.way.work(job, name)
        return {
            "tensors": outcome.tensors,
            "told": [outcome.file, outcome.header],
            "lines": list(outcome.lines),
            "losses": list(outcome.losses),
        }

    kept = recall(f"{name}-result", make)
    file, header = kept["told"]
    return Outcome(kept["tensors"], file, header, tuple(kept["lines"]), tuple(kept["losses"]))


def _shown(clip: Any, members: Sequence[Member], prompt: str, latents: Tensor | None) -> list[Item]:
    """The pictures of the combination, all under the joint prompt. Raises KLoraError where there are none."""
    if latents is None:
        raise KLoraError(
            "taught learns from pictures of the combination. Four that you like are enough: from any "
            "sampler, any strengths, or another tool.",
            "Connect images (with a VAE) or latents",
        )
    condition = encoded(clip, prompt_of(members, prompt))
    return [Item(latent, condition) for latent in latents.split(1)]
