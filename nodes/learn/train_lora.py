"""The Train LoRA for Fusion node: latents and prompts to an ordinary LoRA, or to content's and style's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.sd
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ...klora_core.errors import KLoraError
from ...klora_core.files.learned import rank_tensors
from ...klora_core.loras import SUBJECT
from ...klora_core.merges import state_dict
from ...klora_core.train.fusable import METHODS, Plan, TrainMethod
from .. import dials
from ..composing import Member
from ..host import of_model
from ..inputs import check_counts, checked, chosen
from ..loras import LoraStateDict
from ..training import LAYERS, Course, Learned, Steps, caption, has_masks, items, kernels, learn, sizes
from .alone import alone
from .category import CATEGORY

# The inputs whose lists are meant: pictures and prompts, of any sizes and in any number.
_MANY = ("latents", "positive", "content", "style")
_HALVES = {
    "content": "What is shown in the picture, in words of its own.",
    "style": "How the picture is drawn, in words of its own.",
}


class KLoRATrainLora(io.ComfyNode):
    """Train a LoRA that other LoRAs can be fused with."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRATrainLora",
            display_name="Train LoRA for Fusion",
            category=CATEGORY,
            description="Trains a LoRA from your pictures, by a method that makes it easier to fuse with "
            "others. UnZipLoRA makes two of one picture: what is shown, and how it is drawn.",
            search_aliases=["klora", "train lora", "coto", "beamlora", "unziplora", "lora training"],
            is_input_list=True,
            inputs=[
                io.Model.Input("model", tooltip="The base model to train on. It is loaded a second time."),
                io.Latent.Input("latents", tooltip="The pictures, from VAE Encode, of one size or of many."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="What the pictures show: one prompt for all, or one for each in order.",
                ),
                io.DynamicCombo.Input(
                    "method",
                    options=[io.DynamicCombo.Option(row.label, _own(row)) for row in METHODS],
                    tooltip="plain: nothing special. CoTo: blocks of the model are off at random at first. "
                    "BeamLoRA: weak ranks become copies of strong ones. SMoRA: ranks are chosen by the "
                    "picture. UnZipLoRA: two LoRAs of one picture.",
                ),
                dials.whole("batch", 1, (1, 64), "Pictures a step, one after the other in memory."),
                dials.seed(0xFFFFFFFFFFFFFFFF, "Of the first factors, the noises and what a method draws."),
                dials.advanced(
                    "layers",
                    LAYERS,
                    "attention: queries, keys, values and outputs. blocks: every linear layer of the blocks. "
                    "all: convolutions and what lies outside the blocks too. UnZipLoRA trains attention "
                    "alone.",
                ),
                dials.whole(
                    "warm_up",
                    10,
                    (0, 10_000),
                    "Steps in which the rate rises to its full height.",
                    advanced=True,
                ),
                dials.number(
                    "clip",
                    1.0,
                    (0.0, 1000.0),
                    0.1,
                    "The gradients' norm is cut to this, which keeps one odd picture from breaking "
                    "all. 0: never.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.LoraModel.Output("lora", tooltip="The LoRA; of UnZipLoRA that of the content."),
                io.LoraModel.Output("style_lora", tooltip="The style's LoRA, which only UnZipLoRA makes."),
                io.Model.Output("model", tooltip="The model with what was trained, to try it."),
                io.String.Output(
                    "report", tooltip="What was trained, how far the loss fell, what was left out."
                ),
                io.Custom("LOSS_MAP").Output("loss", tooltip="Each step's loss, for Plot Loss Graph."),
            ],
            accept_all_inputs=True,
        )

    @classmethod
    def execute(cls, **given: Any) -> io.NodeOutput:
        return _train(cls, **{name: _one(name, value) for name, value in given.items()})


@checked
def _train(
    cls: type[KLoRATrainLora],
    model: Any,
    latents: Sequence[Any],
    positive: Sequence[Any],
    method: Any,
    batch: int = 1,
    seed: int = 0,
    layers: str = LAYERS[0],
    warm_up: int = 10,
    clip: float = 1.0,
) -> io.NodeOutput:
    row, own = _chosen(method)
    check_counts(batch=batch, steps=own["steps"], rank=own["rank"])
    plan = Plan(own["steps"], own["rate"], own["rank"], seed)
    slots = sizes(model, LAYERS[0] if row.attention else layers, linear=row.attention)
    pictures = items(model, latents, positive)
    prompts = [caption(half, own[half]) for half in row.halves]
    learned = learn(
        model,
        row,
        pictures,
        slots,
        plan,
        Course(batch, min(warm_up, plan.steps), clip or None),
        (prompts, of_model(model) == "SDXL"),
        Steps(plan.steps),
    )
    loras = [_stored(model, row, plan, lora, i) for i, lora in enumerate(learned.loras)]
    style = (
        loras[1]
        if len(loras) > 1
        else ExecutionBlocker(
            f"{row.label} makes one LoRA: take it from lora, or choose UnZipLoRA for a style_lora."
        )
    )
    report = _report(row, plan, learned, len(pictures), has_masks(latents))
    return io.NodeOutput(loras[0], style, _with(model, row, loras), report, {"loss": list(learned.losses)})


def _own(row: TrainMethod) -> list[io.Input]:
    """The inputs of a method, at its paper's values."""
    found: list[io.Input] = [io.Conditioning.Input(half, tooltip=_HALVES[half]) for half in row.halves]
    found += [
        dials.steps(row.steps, "How long it learns."),
        io.Float.Input(
            "rate", default=row.rate, min=1e-7, max=1.0, step=1e-6, round=1e-7, tooltip="How fast it learns."
        ),
        dials.whole("rank", row.rank, (1, 512), "How much it can hold; its file's size."),
    ]
    return found


def _one(name: str, value: Any) -> Any:
    """An input as a node without lists gets it: the first of each, but all pictures and prompts."""
    if isinstance(value, Mapping):
        return {key: _one(key, inner) for key, inner in value.items()}
    if name.rpartition(".")[2] in _MANY or not isinstance(value, list):
        return value
    return value[0] if value else None


def _chosen(value: Mapping[str, Any]) -> tuple[TrainMethod, dict[str, Any]]:
    """The method, and its own inputs. Raises KLoraError."""
    row, given = chosen(value, METHODS)
    missing = next((half for half in row.halves if half not in given), None)
    if missing is not None:
        raise KLoraError(f"{row.label} needs one for each of its halves.", f"Connect a prompt to {missing}")
    return row, {"steps": row.steps, "rate": row.rate, "rank": row.rank, **given}


def _stored(model: Any, row: TrainMethod, plan: Plan, lora: Any, index: int) -> LoraStateDict:
    """A trained LoRA as a file has it, ordinary ones by kohya's names, with what its header says."""
    half = row.halves[index] if row.halves else ""
    about = {
        "method": row.label,
        "paper": row.paper,
        "steps": plan.steps,
        "rate": plan.rate,
        "seed": plan.seed,
    }
    header = {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(plan.rank),
        "ss_network_alpha": str(plan.rank),
        "ss_base_model_version": of_model(model),
        "klora_training": json.dumps({**about, **({"half": half} if half else {})}),
    }
    name = f"{row.label} {half or 'LoRA'}, {plan.steps} steps"
    if row.by_input:
        tensors = rank_tensors({slot.name: change for slot, change in lora.items()})
    else:
        tensors = state_dict(lora, shapes=kernels(model))
    return LoraStateDict(tensors, name, header)


def _with(model: Any, row: TrainMethod, loras: Sequence[LoraStateDict]) -> Any:
    """The model with what was trained at strength 1: by ordinary patches, or on hooks where those can't."""
    for lora in loras:
        if row.by_input:
            model = alone(model, Member(lora, lora.file, SUBJECT))
        else:
            model = comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0)[0]
    return model


def _report(row: TrainMethod, plan: Plan, learned: Learned, pictures: int, masked: bool) -> str:
    count = len(learned.loras[0])
    lines = [
        f"{row.label} ({row.paper}): {count} layers of rank {plan.rank}, {plan.steps} steps at rate "
        f"{plan.rate:g}, {pictures} picture{'' if pictures == 1 else 's'}.",
        f"Loss on noises that were not trained on: {learned.before:.4f} before, {learned.after:.4f} after.",
        *learned.facts,
        learned.memory,
    ]
    if masked:
        lines.append("The masks of the latents were NOT used.")
    if learned.unseen:
        more = f" and {len(learned.unseen) - 3} more" if len(learned.unseen) > 3 else ""
        lines.append(f"Layers that never ran, NOT trained: {', '.join(learned.unseen[:3])}{more}.")
    return "\n".join(lines)
