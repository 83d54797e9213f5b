"""A rule onto the model: as one LoRA by core's own way, or over time as Compose LoRAs does; and its pictures.

Each is made once: what is kept by content is taken, and made again where it is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import comfy.model_management
import comfy.sd
from torch import Tensor

from ....klora_core import train
from ....klora_core.errors import KLoraError, naming
from ....klora_core.merges import Merged, merge
from ....klora_core.plan import OTHER_LAYERS
from ....klora_core.progress import MODES
from ....klora_core.train.picks import AsMerge, Rule, options_of
from ...composing import Member, at_work, composed
from ...loras import LoraStateDict
from ...merged import lora_of
from ...training import Shelf, as_seen, recall, sampled
from ..on_second import going_on, learning
from ..ways import WAYS, in_their_blocks, losses_in_words
from ..ways import Job as MergeJob
from .job import Job, own_prompts

# Latents of sheets and their pictures as files: of some ten wide sheets.
SHEETS = Shelf("klora_picks", 2048, 4 * 2**30)
# How many pictures each LoRA makes alone for calibrated.
_ALONE = 4

Told = Callable[[int, Tensor, Tensor, int], None]


class _Way(NamedTuple):
    name: str
    label: str
    paper: str


_PICKED = _Way("picked", "Pick and Learn", "columns and rows, this pack's own way")


def usable(
    model: Any, members: Sequence[Member], rules: Sequence[Rule]
) -> tuple[tuple[Rule, ...], list[str]]:
    """Those of the usual rules that can be put to these LoRAs, and a line for each that can't."""
    kept, left = [], []
    for rule in rules:
        try:
            if rule.is_calibrated and not all(member.strength for member in members):
                raise KLoraError("a LoRA of the set has strength 0.", "Give the LoRA another strength")
            _over_time(model, members, rule)
            kept.append(rule)
        except KLoraError as error:
            left.append(f"{rule.name} is NOT on the sheet: {error.in_list}")
    return tuple(kept), left


def _over_time(model: Any, members: Sequence[Member], rule: Rule) -> Any | None:
    """The model with a rule that is no LoRA, as Compose LoRAs makes it."""
    make = rule.over_time()
    if make is None:
        return None
    return composed(model, None, members, make, OTHER_LAYERS[0], MODES[0]).model


class Maker:
    """What rules make of one job. ``encode`` gives a text's CONDITIONING, ``told`` is the steps' callback."""

    def __init__(self, job: Job, encode: Callable[[str], list], told: Told) -> None:
        self._job, self._encode, self._told = job, encode, told
        self._model: tuple[Rule, Any] | None = None

    def is_kept(self, rule: Rule, seed: int) -> bool:
        """Whether a picture is there already."""
        return SHEETS.path(self._job.name_of_picture(rule, seed)).is_file()

    def latent(self, rule: Rule, seed: int) -> Tensor:
        """The latent of a picture, as a sampler gives it, float32 on the CPU."""
        job = self._job

        def make() -> dict[str, Tensor]:
            comfy.model_management.throw_exception_if_processing_interrupted()
            latent = sampled(self.model(rule), job.positive, job.negative, job.how, seed, self._told)
            return {"latent": latent.detach().cpu().float().clone()}

        return SHEETS.recall(job.name_of_picture(rule, seed), make)["latent"]

    def model(self, rule: Rule) -> Any:
        """The model with a rule at work; of the last one that was asked for the very same."""
        if self._model is None or self._model[0] != rule:
            # The last one goes first.
            self._model = None
            self._model = rule, self._made(rule)
        return self._model[1]

    def _made(self, rule: Rule) -> Any:
        job = self._job
        with naming(rule.name):
            over_time = _over_time(job.model, job.members, rule)
        if over_time is not None:
            return over_time
        lora, _ = self.lora(rule)
        return comfy.sd.load_lora_for_models(job.model, None, dict(lora), 1.0, 0)[0]

    def lora(self, rule: Rule) -> tuple[LoraStateDict, list[str]]:
        """One ordinary LoRA of a rule that is one, and what there is to say of how it was made."""
        as_merge = rule.as_merge()
        if as_merge is not None:
            return self._merged(as_merge), []
        name = self._job.name_of(rule)

        def make() -> dict[str, Any]:
            lora, lines = self._taught(rule, name) if rule.is_learned else (self._calibrated(name), [])
            return {"tensors": dict(lora), "told": [lora.file, lora.metadata, lines]}

        known = recall(f"{self._job.name_of_lora(rule)}-result", make)
        file, metadata, lines = known["told"]
        return LoraStateDict(known["tensors"], file, metadata), lines

    def _merged(self, rule: AsMerge) -> LoraStateDict:
        job = self._job
        merged = merge(
            job.table,
            rule.method,
            [own * given for own, given in zip(job.strengths, rule.at(len(job.members)), strict=True)],
            job.roles,
            values=rule.values,
            blocks=[member.blocks for member in job.members],
            device=comfy.model_management.get_torch_device(),
        )
        return lora_of(merged, job.members, job.model, "fp32")

    def _calibrated(self, name: str) -> LoraStateDict:
        job, way = self._job, next(way for way in WAYS if way.name == "calibrated")
        told = [[self._encode(text) for text in own_prompts(m, job.prompt)] for m in job.members]
        how = replace(job.how, seed=0)
        slots = at_work(job.model, job.loras, [member.blocks for member in job.members])
        asked = MergeJob(
            way, job.model, job.members, job.loras, slots, {}, told, job.negative, [], _ALONE, how
        )
        made = way.work(asked, name)
        return LoraStateDict(made.tensors, made.file, made.header)

    def _taught(self, rule: Rule, name: str) -> tuple[LoraStateDict, list[str]]:
        job, picks = self._job, self._job.taught_by(rule.round)
        seen = [as_seen(job.model, self.latent(pick.rule, pick.seed)) for pick in picks]
        items = [train.Item(latent, job.positive) for latent in (*seen, *job.liked)]
        options = options_of(picks, job.strengths, job.recipe, len(job.liked))
        on_or_off = [float(strength != 0) for strength in job.strengths]
        factors = train.factored(in_their_blocks(job.table, job.members), job.model.load_device, on_or_off)
        begun = train.begun(factors, options.start, options.sides)
        self._model = None
        with learning(job.model, factors, items[0], begun) as (on, needs):
            options = replace(options, at_once=needs.at_once(options.batch))
            made = train.taught(factors, items, on, options, **going_on(name, options.steps))
            lines = [*losses_in_words(made.losses), needs.line()]
        facts = {"pictures": len(items), "steps": options.steps, "rate": options.rate}
        return self._lora(made.deltas, facts), lines

    def _lora(self, deltas: Any, facts: dict[str, Any]) -> LoraStateDict:
        job = self._job
        blocks = tuple(member.blocks for member in job.members)
        merged = Merged(deltas, _PICKED, facts, job.strengths, job.roles, {}, {}, blocks)
        return lora_of(merged, job.members, job.model, "fp32")
