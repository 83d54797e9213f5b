"""The Pick and Learn node: a sheet of pictures by many rules, and one LoRA of those that a person picked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from ....klora_core.errors import KLoraError
from ....klora_core.loras import OTHER
from ....klora_core.train.picks import (
    Picks,
    Picture,
    Recipe,
    Rule,
    course,
    learned_for,
    parse_part,
    parse_picks,
    parse_rules,
    result,
    sheet,
)
from ...composing import Member
from ...host import announce_picture
from ...inputs import checked
from ...training import Sampling, given
from ..category import CATEGORY
from ..on_second import check_learnable
from ..prompts import encoded
from . import telling
from .inputs import SAMPLERS, SCHEDULERS, inputs
from .job import Job, layers_of, named, parted, prompt_of
from .making import Maker
from .shown import Films, Progress, for_page


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
                io.Image.Output("images", tooltip="The round's sheet, in its order."),
                io.String.Output("report", tooltip="What was liked, what was learned, what comes out."),
            ],
            hidden=[io.Hidden.unique_id],
        )

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
                raise KLoraError(f"Unknown {name} {value!r}: use one of {', '.join(offered)}.")
        done, share = parse_picks(picks), parse_part(part)
        check_learnable(model)
        on_all, members = parted(model, set)
        roles = [member.role for member in members]
        offered_rules = parse_rules(rules, roles)
        _check(done, roles)
        loras, table = layers_of(on_all, members)
        text = prompt_of(members, prompt)
        own = given(on_all, None, liked, vae)
        job = named(
            Job(
                on_all, members, loras, table, text, encoded(clip, text), encoded(clip, negative),
                Sampling(width, height, steps, cfg, seed, sampler, scheduler), done, offered_rules,
                () if own is None else tuple(own.split(1)), Recipe(steps=learning_steps, rate=rate), "",
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
        return _Round(job, clip, vae, node, liked).outputs(shown, len(whole), (share.number, share.count))


def _check(picks: Picks, roles: Sequence[str]) -> None:
    """Raises KLoraError for a pick, or a result, that these LoRAs can't be put to."""
    for pick in picks.picks:
        try:
            pick.rule.check(roles)
        except KLoraError as error:
            raise KLoraError(f"Take {pick.line()!r} out of picks: {error}") from None
    if picks.result is not None:
        picks.result.check(roles)


class _Round:
    """One Run of the node: the pictures of ``job``'s round, and what comes out of it."""

    def __init__(self, job: Job, clip: Any, vae: Any, node: str | None, liked: Tensor | None) -> None:
        self._job, self._node, self._liked = job, node, liked
        self._films = Films(vae)
        self._progress: Progress | None = None
        self._maker = Maker(job, lambda text: encoded(clip, text), self._told)

    def outputs(self, shown: Sequence[Picture], whole: int, part: tuple[int, int]) -> io.NodeOutput:
        """The node's outputs for the pictures that are to be shown."""
        job, rivals = self._job, self._rivals()
        lines = [*telling.heading(job, shown, rivals, whole), *telling.liked(job)]
        hint = telling.hint(job)
        lines += [hint] if hint else []
        rule = self._outcome(rivals)
        lora, model = self._given(rule, lines)
        latents, images, pages, made = self._pictures(shown)
        lines += telling.variety(latents)
        lines.append(telling.cost(job, made, len(shown)))
        document = {
            "round": job.picks.round,
            "shown": [rival.name for rival in rivals],
            "taken": rule.name if job.picks.taken and rule else "",
            "best": self._best(),
            "of": len(shown) if job.picks.taken else whole,
            "part": list(part),
            "hint": hint,
            "pictures": pages,
        }
        return io.NodeOutput(lora, model, images, "\n".join(lines), ui={"klora_picks": [document]})

    def _rivals(self) -> tuple[Rule, ...]:
        job = self._job
        return course(job.picks, job.rules, len(job.liked)).shown[-1]

    def _outcome(self, rivals: Sequence[Rule]) -> Rule | None:
        """What comes out: what was taken, or what was learned for this round; at first nothing."""
        if self._job.picks.taken:
            return result(self._job.picks, self._job.rules, len(self._job.liked))
        return next((rule for rule in rivals if rule.is_learned), None)

    def _best(self) -> str:
        """What would be taken now."""
        job = self._job
        if not job.picks.picks and not job.liked:
            return ""
        return result(job.picks, job.rules, len(job.liked)).name

    def _given(self, rule: Rule | None, lines: list[str]) -> tuple[Any, Any]:
        """The LoRA and the model; what is to be said of them goes to ``lines``."""
        if rule is None:
            # Silently: nothing that follows has anything to do yet.
            return ExecutionBlocker(None), ExecutionBlocker(None)
        job = self._job
        lora: Any
        if rule.is_lora:
            lora, said = self._maker.lora(rule)
        elif job.picks.picks or job.liked:
            newest = max(2, job.picks.round + bool(job.picks.of(job.picks.round)))
            lora, said = self._maker.lora(learned_for(newest))
        else:
            lora = ExecutionBlocker(f"{rule.name} is no LoRA that a file can hold: take model instead.")
            said = []
        if rule.is_learned:
            lines += telling.learned(job, rule, said)
        lines += telling.taken(job, rule) if job.picks.taken else []
        return lora, self._maker.model(rule)

    def _pictures(
        self, shown: Sequence[Picture]
    ) -> tuple[dict[Rule, list[Tensor]], Any, list[dict[str, Any]], int]:
        """Latents by rule, IMAGE, the page's pictures, and how many had to be made."""
        job = self._job
        missing = sum(not self._maker.is_kept(p.rule, p.seed) for p in shown)
        self._progress = Progress(job.model, missing, job.how.steps)
        latents: dict[Rule, list[Tensor]] = {}
        pixels, pages = {}, {}
        # Rule by rule, each with its noises: every other rule is other weights to load.
        for picture in sorted(shown, key=lambda p: (p.round, p.rule.name, p.seed)):
            latent = self._maker.latent(picture.rule, picture.seed)
            latents.setdefault(picture.rule, []).append(latent)
            name = job.name_of_picture(picture.rule, picture.seed)
            seen = pixels[picture] = self._films.pixels(name, latent)
            size = seen.shape[2], seen.shape[1]
            pages[picture] = for_page(picture, self._films.file(name), job.picks, size)
            announce_picture(self._node, pages[picture], job.picks.round, len(pages), len(shown))
        images = torch.cat([pixels[picture] for picture in shown]) if shown else self._instead()
        return latents, images, [pages[picture] for picture in shown], missing

    def _instead(self) -> Any:
        """IMAGE where the round has no picture here: those of the user's own, or nothing."""
        return ExecutionBlocker(None) if self._liked is None else self._liked

    def _told(self, step: int, x0: Tensor, x: Tensor, total_steps: int) -> None:
        if self._progress is None:
            # Picks that have to be made again before they can be learned.
            self._progress = Progress(self._job.model, 1, self._job.how.steps)
        self._progress(step, x0, x, total_steps)
