"""LoRAs and a method onto MODEL and CLIP: what every composing node does."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from comfy_api.latest import io

from ..klora_core import report
from ..klora_core.deltas import Deltas, Digests
from ..klora_core.errors import KLoraError, naming
from ..klora_core.files.learned import content_of
from ..klora_core.loras import OTHER, STYLE, SUBJECT, LoraInfo, labels_of
from ..klora_core.memo import Memo
from ..klora_core.methods import ALWAYS, Given, Make, When
from ..klora_core.names import in_blocks, words_of
from ..klora_core.page import for_page
from ..klora_core.plan import KEEP, Plan, make_plan
from ..klora_core.progress import AUTO, Columns, Progress, in_steps, over_progress
from ..klora_core.report import not_followed
from .host import energies, keep_set, layers_of, scores
from .loras import HostLora, name_of, notes, read
from .model import NOT_SAVED, levels_of, to_clip, to_model, unseen_before, warnings_for, with_run

KLoraPlan = io.Custom("KLORA_PLAN")
LoraSet = io.Custom("LORA_SET")
LoraStack = io.Custom("LORA_STACK")

COLUMNS = 30
OTHER_LAYERS_TOOLTIP = (
    "What happens to layers that do not compete. keep: each LoRA is applied there as usual. drop: no LoRA is."
)
PROGRESS_TOOLTIP = (
    "auto: by steps where a run goes from pure noise to the finished image, by noise level "
    "where it is a part of that (img2img, several samplers in a row). steps: always counted "
    "within each run, as in the paper. noise level: always read off the noise."
)


def set_input() -> io.Input:
    """The LoRAs of a node that puts them together."""
    return LoraSet.Input("set", tooltip="The LoRAs, from LoRA Set, all made for this base model.")


def pair_inputs() -> list[io.Input]:
    """What a node needs that fuses a subject and a style, see :func:`pair`."""
    return [
        io.Model.Input("model", tooltip="The model to fuse the LoRAs into."),
        io.LoraModel.Input("subject", tooltip="The LoRA of your character, person or object."),
        io.LoraModel.Input("style", tooltip="The LoRA of the style, made for the same base model."),
        clip_input(),
    ]


def clip_input() -> io.Input:
    """The text encoder of a node that composes."""
    return io.Clip.Input(
        "clip",
        optional=True,
        tooltip="Connect it if your LoRAs also trained the text encoder (many SD1.5 ones did).",
    )


def outputs(model: str, which: str) -> list[io.Output]:
    """What :func:`compose` gives; ``model`` tells what its model is, ``which`` whose text parts clip has."""
    return [
        io.Model.Output("model", tooltip=model),
        io.Clip.Output(
            "clip", tooltip=f"The text encoder with {which} LoRAs' text parts at their strengths."
        ),
        KLoraPlan.Output("plan", tooltip="What was decided, for K-LoRA Selection Map."),
        io.String.Output("report", tooltip="The decisions in words."),
    ]


@dataclass(frozen=True, eq=False)
class Member:
    """A LoRA of a composition: its tensors, what to call it, and its part in it."""

    tensors: dict
    name: str
    role: str
    strength: float = 1.0
    clip_strength: float | None = None
    """That of its text-encoder part; None, the same."""
    blocks: str = ""
    """How strongly it works in which blocks; empty: alike in all."""
    when: When = ALWAYS

    @property
    def header(self) -> dict[str, str]:
        """What its file says of itself."""
        return getattr(self.tensors, "metadata", None) or {}

    @property
    def on_clip(self) -> float:
        return self.strength if self.clip_strength is None else self.clip_strength


def pair(subject: dict, style: dict, strengths: Sequence[float]) -> list[Member]:
    """A subject and a style LoRA, at ``strengths``."""
    each = zip((SUBJECT, STYLE), (subject, style), strengths, strict=True)
    return [Member(lora, name_of(lora, role), role, strength) for role, lora, strength in each]


@dataclass(frozen=True, eq=False)
class _Remembered:
    """Of LoRAs together, whose bytes rest while these objects live: digests, and what methods work out."""

    digests: Digests = field(default_factory=Digests)
    memo: dict[Hashable, Any] = field(default_factory=dict)


# Turning a dial works nothing of this out again. They go with the LoRAs.
SETS: Memo[_Remembered] = Memo(16)


class Composed(NamedTuple):
    """What LoRAs and a method make of a model: it, its clip, and what was decided."""

    model: Any
    clip: Any | None
    plan: Plan
    silent: Sequence[set[str]] = ()
    """The names of each LoRA's slots that its blocks leave it nothing in."""

    @property
    def report(self) -> str:
        """The decisions in words."""
        return _report(self.plan)

    @property
    def told(self) -> str:
        """The same as a node tells it."""
        return f"{self.report}\n\n{NOT_SAVED}"


def compose(
    model: Any,
    clip: Any | None,
    members: Sequence[Member],
    make: Make,
    other_layers: str,
    progress: str,
    node: str | None,
) -> io.NodeOutput:
    """The outputs of a composing node: model, clip, plan and report. Raises KLoraError.

    ``make`` says which rows compete and by which method; ``node`` is the execution id of the node.
    """
    done = composed(model, clip, members, make, other_layers, progress, node)
    return io.NodeOutput(
        done.model,
        done.clip,
        done.plan,
        done.told,
        ui={"klora": [keep_set(for_page(done.plan, COLUMNS, done.silent), done.plan)]},
    )


def composed(
    model: Any,
    clip: Any | None,
    members: Sequence[Member],
    make: Make,
    other_layers: str,
    progress: str,
    node: str | None = None,
) -> Composed:
    """The same without a page: ``node`` is told of its runs, None: nobody is. Raises KLoraError."""
    members = sorted(members, key=lambda member: member.role == OTHER)
    roles = tuple(member.role for member in members)
    names = tuple(member.name for member in members)
    loras = [read(member.tensors, member.name, model, clip) for member in members]
    blocks = tuple(member.blocks for member in members)
    remembered = SETS.of(loras, (roles, names, blocks), _Remembered)
    labels = labels_of(roles)
    slots = at_work(model, loras, blocks)
    score, measure = partial(scores, memory=remembered.digests), partial(energies, memory=remembered.digests)
    when = tuple(member.when for member in members)
    contents = partial(_contents, members)
    rows, method = make(
        Given(slots, roles, names, score, measure, remembered.memo, contents=contents, when=when)
    )
    infos = [
        LoraInfo(
            member.name,
            member.role,
            strength=member.strength,
            base=words_of(lora.base_model),
            blocks=member.blocks,
        )
        for member, lora in zip(members, loras, strict=True)
    ]
    plan = make_plan(
        rows,
        infos,
        method,
        Progress(progress, levels_of(model.get_model_object("model_sampling"))),
        other_layers,
        [
            *not_followed(method, labels, roles, when),
            *(
                note
                for label, lora, member, info in zip(labels, loras, members, infos, strict=True)
                for note in notes(
                    label,
                    lora,
                    member.strength,
                    keep=other_layers == KEEP or info.role == OTHER,
                    clip=clip is not None,
                    clip_strength=member.on_clip,
                    blocks=member.blocks,
                )
            ),
        ],
        [*warnings_for(model, loras, names, labels, method.adds), *_idle(labels, slots)],
    )
    patched = to_model(model, plan, rows, loras, node, remembered.digests)
    return Composed(
        patched, to_clip(clip, loras, [member.on_clip for member in members]), plan, _silent(loras, slots)
    )


def _silent(loras: Sequence[HostLora], slots: Sequence[Deltas]) -> list[set[str]]:
    return [
        {slot.name for slot in lora.slots.keys() - own.keys()} for lora, own in zip(loras, slots, strict=True)
    ]


def _contents(members: Sequence[Member]) -> list[str]:
    """What the LoRAs hold that take part, for what was trained on these very ones."""
    return [content_of(member.tensors) for member in members if member.role != OTHER]


def at_work(model: Any, loras: Sequence[HostLora], blocks: Sequence[str]) -> tuple[Deltas, ...]:
    """The slots that their ``blocks`` leave to LoRAs on ``model``. Raises KLoraError."""
    # A block that one LoRA of the set has, or the model, is there for all of them.
    elsewhere = [slot.name for lora in loras for slot in lora.slots]
    found = []
    for lora, own in zip(loras, blocks, strict=True):
        with naming(lora.name):
            found.append(in_blocks(lora.slots, own, chain(elsewhere, layers_of(model))))
    if not any(found):
        raise KLoraError("blocks leave no LoRA of the set a layer to work in.", "Give one LoRA a strength")
    return tuple(found)


def _idle(labels: Sequence[str], slots: Sequence[Deltas]) -> Iterator[str]:
    """A line for each LoRA that works nowhere in the diffusion model."""
    for label, own in zip(labels, slots, strict=True):
        if not own:
            yield f"the {label} LoRA works nowhere: its blocks leave it none of the layers that it changes."


def report_of(plan: Plan, columns: Columns) -> str:
    """The report of a plan over ``columns``; first what the last run on its model showed."""
    seen = with_run(plan)
    return report.text(replace(seen, warnings=(*unseen_before(plan), *plan.warnings)), columns)


def _report(plan: Plan) -> str:
    if plan.method.counts_steps:
        said = [
            report_of(plan, in_steps(COLUMNS)),
            f"The steps are those of a run of {COLUMNS}: each run counts its own.",
        ]
    else:
        said = [report_of(plan, over_progress(COLUMNS))]
    if plan.progress.mode == AUTO:
        said.append("Which way a run was counted, by steps or noise level, this node's map and the log say.")
    return "\n\n".join(said)
