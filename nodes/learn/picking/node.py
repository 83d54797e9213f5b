"""The Pick and Learn node: a sheet of pictures by many rules, and one LoRA of those that a person picked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ....klora_core.errors import KLoraError
from ....klora_core.loras import OTHER
from ....klora_core.train.picks import (
    Picks,
    Picture,
    Recipe,
    parse_part,
    parse_picks,
    parse_rules,
    result,
    sheet,
)
from ...composing import Member
from ...inputs import check_counts, checked
from ...inputs import shown as shown_as
from ...training import Sampling, check, given
from ..category import CATEGORY
from ..prompts import encoded, prompt_of
from .inputs import SAMPLERS, SCHEDULERS, inputs
from .job import Job, layers_of, named, parted
from .making import SHEETS, usable
from .round import Round


class KLoRAPickAndLearn(io.ComfyNode):
    """Show pictures by many rules, and learn one LoRA from those that were picked."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRAPickAndLearn",
            display_name="Pick and Learn",
            category=CATEGORY,
            description="Shows pictures of your LoRAs together, made by many rules: pick those you like, and "
            "one ordinary LoRA is learned from them, round by round.",
            search_aliases=["klora", "pick", "sheet", "preference", "choose pictures", "learn from picks"],
            is_output_node=True,
            # The page shows this node's own sheet.
            not_idempotent=True,
            inputs=inputs(),
            outputs=[
                io.LoraModel.Output(
                    "lora", tooltip="One ordinary LoRA: what was learned for this round, or what was taken."
                ),
                io.Model.Output("model", tooltip="The model with that at work."),
                io.Image.Output(
                    "images",
                    tooltip="The round's sheet, in its order, as one batch: 52 pictures of 1024 px hold "
                    "620 MB of memory.",
                ),
                io.String.Output("report", tooltip="What was liked, what was learned, what comes out."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        """What changes where pictures of a sheet are gone: an equal Run makes them again."""
        return SHEETS.mark()

    @classmethod
    @checked
    def execute(
        cls,
        model: Any,
        clip: Any,
        vae: Any,
        set: Sequence[Member],
        prompt: str,
        negative: str,
        width: int = 1024,
        height: int = 1024,
        steps: int = 20,
        cfg: float = 5.0,
        sampler: str = "euler",
        scheduler: str = "normal",
        seed: int = 0,
        pictures: int = 4,
        rules: str = "",
        picks: str = "",
        liked: Tensor | None = None,
        part: str = "all",
        learning_steps: int = 200,
        rate: float = 0.03,
    ) -> io.NodeOutput:
        for name, value, offered in (("sampler", sampler, SAMPLERS), ("scheduler", scheduler, SCHEDULERS)):
            if value not in offered:
                raise KLoraError(
                    f"unknown {name} {shown_as(value)}.",
                    f"Use one that KSampler offers, such as {offered[0]}",
                )
        check_counts(
            width=width, height=height, steps=steps, pictures=pictures, learning_steps=learning_steps
        )
        done, share = parse_picks(picks), parse_part(part)
        check(model)
        on_all, members = parted(model, set)
        roles = [member.role for member in members]
        offered_rules, left = parse_rules(rules, roles), list[str]()
        if not rules.strip():
            offered_rules, left = usable(on_all, members, offered_rules)
        _check(done, roles)
        loras, table = layers_of(on_all, members)
        text = prompt_of(members, prompt)
        own = given(on_all, None, liked, vae)
        job = named(
            Job(
                on_all, members, loras, table, text, encoded(clip, text), encoded(clip, negative),
                Sampling(width, height, steps, cfg, seed, sampler, scheduler), done, offered_rules,
                () if own is None else tuple(own.split(1)), Recipe(steps=learning_steps, rate=rate),
                "", tuple(left),
            ),
            model,
            [member for member in set if member.role == OTHER],
        )  # fmt: skip
        whole = sheet(done, offered_rules, seed, pictures, len(job.liked))
        shown = share.of(whole)
        if done.taken:
            result(done, offered_rules, len(job.liked))
            shown = tuple(Picture(p.round, p.rule, p.seed, p.place or i) for i, p in enumerate(done.picks, 1))
        node = cls.hidden.unique_id if cls.hidden else None
        return Round(job, clip, vae, node, liked).outputs(shown, len(whole), (share.number, share.count))


def _check(picks: Picks, roles: Sequence[str]) -> None:
    """Raises KLoraError for a pick, or a result, that these LoRAs can't be put to."""
    for pick in picks.picks:
        try:
            pick.rule.check(roles)
        except KLoraError as error:
            raise KLoraError(error.in_list, f"Take {pick.line()!r} out of picks") from None
    if picks.result is not None:
        picks.result.check(roles)
