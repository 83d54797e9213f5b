"""The K-LoRA Fuse node: two LoRAs and a model in, the model that chooses between them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.model_management
import comfy.utils
from comfy_api.latest import io

from ..klora_core import report, schedules
from ..klora_core.fuse import LAYERS, OTHER_LAYERS, plan_from, prepare
from ..klora_core.methods.klora import GAMMA_MODES
from ..klora_core.pairing import SlotPair
from ..klora_core.plan import LoraInfo, ScoredSlot
from ..klora_core.scoring import score_pairs
from . import apply, lora_file, lora_slots
from .score_cache import ScoreCache
from .side_path import PROGRESS_MODES

KLoraPlan = io.Custom("KLORA_PLAN")

REPORT_STEPS = 30

# Scores outlive the node's calls by design: turning a dial must not score again.
_scores = ScoreCache()


def _schedule_option(name: str, tooltip: str) -> io.DynamicCombo.Option:
    return io.DynamicCombo.Option(
        name,
        [
            io.Float.Input(
                "alpha",
                optional=True,
                default=schedules.DEFAULT_ALPHA,
                min=0.01,
                max=10.0,
                step=0.05,
                tooltip=f"How fast the scale grows over the steps. {tooltip}",
            ),
            io.Float.Input(
                "beta",
                optional=True,
                default=schedules.DEFAULT_BETA[name],
                min=0.0,
                max=10.0,
                step=0.05,
                tooltip="Where the scale starts. Higher gives the style more layers from the first step on.",
            ),
        ],
    )


def _strength(role: str) -> io.Float.Input:
    return io.Float.Input(
        f"{role}_strength",
        default=1.0,
        min=-10.0,
        max=10.0,
        step=0.05,
        tooltip=f"Strength of the {role} LoRA where it is used. It does not change who wins a layer: "
        "leave it at 1 and use balance.",
    )


def _advanced(id: str, options: Sequence[str], tooltip: str) -> io.Combo.Input:
    return io.Combo.Input(
        id, options=list(options), default=options[0], optional=True, advanced=True, tooltip=tooltip
    )


class KLoRAFuse(io.ComfyNode):
    """Fuse a subject and a style LoRA by K-LoRA."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRAFuse",
            display_name="K-LoRA Fuse",
            category="K-LoRA",
            description="Lets each layer use either the subject or the style LoRA, step by step: "
            "the subject early, the style late. No training, no strength fiddling.",
            search_aliases=["klora", "lora fusion", "merge lora", "subject style", "combine lora"],
            # The page gets the plan again when the result comes from the host's cache.
            has_intermediate_output=True,
            inputs=[
                io.Model.Input("model", tooltip="The model to fuse the LoRAs into."),
                io.LoraModel.Input("subject", tooltip="The LoRA of your character, person or object."),
                io.LoraModel.Input("style", tooltip="The LoRA of the style, made for the same base model."),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="Connect it if your LoRAs also trained the text encoder (many SD1.5 ones did).",
                ),
                _strength("subject"),
                _strength("style"),
                io.Float.Input(
                    "balance",
                    default=0.0,
                    min=-1.0,
                    max=1.0,
                    step=0.05,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="The one control to turn: -1 leans to the subject, +1 to the style, 0 is even.",
                ),
                io.DynamicCombo.Input(
                    "schedule",
                    options=[
                        _schedule_option("s", "s: the subject leads first, the style takes over."),
                        _schedule_option("s*", "s*: the style leads for the first steps, then as s."),
                    ],
                    tooltip="s: subject first, then style. s*: a short style lead for its colours and "
                    "composition first; recommended for FLUX.",
                ),
                _advanced(
                    "gamma", GAMMA_MODES, "How the two LoRAs are brought to one size before they compete."
                ),
                _advanced(
                    "layers", LAYERS, "Which layers compete: all that both LoRAs change, or attention only."
                ),
                _advanced(
                    "other_layers",
                    OTHER_LAYERS,
                    "What happens to layers that do not compete: keep applies each LoRA there as usual.",
                ),
                _advanced(
                    "progress",
                    PROGRESS_MODES,
                    "steps: counted within each sampler run, as in the paper. noise level: read off the "
                    "noise, so that img2img and runs split over several samplers agree.",
                ),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The model with both LoRAs fused in."),
                io.Clip.Output(
                    "clip", tooltip="The text encoder with both LoRAs' text parts at their strengths."
                ),
                KLoraPlan.Output("plan", tooltip="What was decided, for K-LoRA Selection Map."),
                io.String.Output("report", tooltip="The decisions in words."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        subject: dict,
        style: dict,
        subject_strength: float,
        style_strength: float,
        balance: float,
        schedule: dict,
        clip: Any | None = None,
        gamma: str = GAMMA_MODES[0],
        layers: str = LAYERS[0],
        other_layers: str = OTHER_LAYERS[0],
        progress: str = PROGRESS_MODES[0],
    ) -> io.NodeOutput:
        curve = schedules.make_schedule(
            schedule["schedule"], schedule.get("alpha"), schedule.get("beta"), balance
        )
        loras = (
            lora_slots.read(subject, lora_file.name_of(subject, "subject"), model, clip),
            lora_slots.read(style, lora_file.name_of(style, "style"), model, clip),
        )
        strengths = (subject_strength, style_strength)
        keep = other_layers == "keep"
        pairing = prepare(loras[0].slots, loras[1].slots, layers)
        plan = plan_from(
            pairing,
            _scores.scores(subject, style, pairing.shared, _score),
            curve,
            gamma,
            subject=LoraInfo(loras[0].name, len(loras[0].slots), subject_strength),
            style=LoraInfo(loras[1].name, len(loras[1].slots), style_strength),
            other_layers=other_layers,
            notes=apply.notes(loras, strengths, keep=keep, clip=clip is not None),
        )
        return io.NodeOutput(
            apply.to_model(model, plan, pairing, loras, strengths, keep=keep, progress=progress),
            apply.to_clip(clip, loras, strengths),
            plan,
            report.text(plan, REPORT_STEPS),
            ui={"klora": [plan.to_json(REPORT_STEPS)]},
        )


def _score(pairs: Sequence[SlotPair]) -> list[ScoredSlot]:
    bar = comfy.utils.ProgressBar(len(pairs))
    return score_pairs(pairs, comfy.model_management.get_torch_device(), bar.update_absolute)
