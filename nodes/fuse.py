"""The K-LoRA Fuse node: two LoRAs and a model in, the model that chooses between them out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management
import comfy.utils
from comfy_api.latest import io

from ..klora_core import document, report
from ..klora_core.deltas import Delta
from ..klora_core.errors import KLoraError
from ..klora_core.methods import klora
from ..klora_core.methods.klora_scores import evidence_of
from ..klora_core.pairing import LAYERS, meet
from ..klora_core.plan import KEEP, OTHER_LAYERS, LoraInfo, make_plan
from ..klora_core.progress import MODES, Progress, over_progress
from ..klora_core.roles import STYLE, SUBJECT
from ..klora_core.score_cache import ScoreCache
from ..klora_core.scoring import Request, Score, score
from . import apply, lora_file, lora_slots, warnings
from .levels import levels_of
from .lora_notes import notes

KLoraPlan = io.Custom("KLORA_PLAN")

COLUMNS = 30
_ROLES = (SUBJECT, STYLE)

# Scores outlive the node's calls by design: turning a dial must not score again. Room for sixteen pairs of
# two thousand slots.
_scores = ScoreCache(1 << 16)


def _schedule_option(name: str, tooltip: str) -> io.DynamicCombo.Option:
    return io.DynamicCombo.Option(
        name,
        [
            io.Float.Input(
                "alpha",
                optional=True,
                default=klora.DEFAULT_ALPHA,
                min=0.01,
                max=10.0,
                step=0.05,
                tooltip=f"How fast the scale grows over the steps. {tooltip}",
            ),
            io.Float.Input(
                "beta",
                optional=True,
                default=klora.DEFAULT_BETA[name],
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
                    "gamma",
                    klora.GAMMA_MODES,
                    "How the two LoRAs are brought to one size before they compete.",
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
                    MODES,
                    "auto: by steps where a run goes from pure noise to the finished image, by noise level "
                    "where it is a part of that (img2img, several samplers in a row). steps: always counted "
                    "within each run, as in the paper. noise level: always read off the noise.",
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
            hidden=[io.Hidden.unique_id],
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
        schedule: Any,
        clip: Any | None = None,
        gamma: str = klora.GAMMA_MODES[0],
        layers: str = LAYERS[0],
        other_layers: str = OTHER_LAYERS[0],
        progress: str = MODES[0],
    ) -> io.NodeOutput:
        strengths = (subject_strength, style_strength)
        for role, strength in zip(_ROLES, strengths, strict=True):
            _check_finite(f"{role}_strength", strength)
        curve = _schedule(schedule, balance)
        files = (subject, style)
        names = [lora_file.name_of(lora, role) for lora, role in zip(files, _ROLES, strict=True)]
        loras = [lora_slots.read(lora, name, model, clip) for lora, name in zip(files, names, strict=True)]
        rows = meet([lora.slots for lora in loras], _ROLES, layers)
        evidence = evidence_of(rows.competing, _ROLES, _score, names)
        infos = [LoraInfo(*each) for each in zip(names, _ROLES, (0, 0), strengths, strict=True)]
        plan = make_plan(
            rows,
            infos,
            klora.KLora(curve, gamma, _ROLES, evidence),
            Progress(progress, levels_of(model.get_model_object("model_sampling"))),
            other_layers,
            [
                line
                for role, lora, strength in zip(_ROLES, loras, strengths, strict=True)
                for line in notes(role, lora, strength, keep=other_layers == KEEP, clip=clip is not None)
            ],
            warnings.of(model, loras, names),
        )
        return io.NodeOutput(
            apply.to_model(model, plan, rows, loras, cls.hidden.unique_id if cls.hidden else None),
            apply.to_clip(clip, loras, strengths),
            plan,
            report.text(plan, over_progress(COLUMNS)) + "\n\n" + warnings.NOT_SAVED,
            ui={"klora": [document.for_page(plan, COLUMNS)]},
        )


def _schedule(value: Any, balance: float) -> klora.Schedule:
    """The schedule of the node's dynamic combo, or of its bare name, which API users may send."""
    if isinstance(value, str):
        return klora.make_schedule(value, balance=balance)
    if not isinstance(value, Mapping) or not isinstance(value.get("schedule"), str):
        raise KLoraError(
            f"schedule must be one of {', '.join(klora.SCHEDULES)}, got {value!r}. In the API format, send "
            '"schedule": "s", and beside it "schedule.alpha" and "schedule.beta" if not the paper\'s.'
        )
    return klora.make_schedule(value["schedule"], value.get("alpha"), value.get("beta"), balance)


def _check_finite(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise KLoraError(f"{name} must be a finite number, got {value!r}: give a number such as 1.")


def _score(requests: Sequence[Request]) -> list[Score]:
    """Scores of what was not scored before, by the host's device, with its progress bar."""

    def missing(left: Sequence[tuple[Delta, int]]) -> list[Score]:
        bar = comfy.utils.ProgressBar(len(left))
        device = comfy.model_management.get_torch_device()
        return score([Request(*each) for each in left], device, bar.update_absolute)

    return [Score(*found) for found in _scores.scores(requests, missing)]
