"""One Run of Pick and Learn: the pictures of a round, and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from ....klora_core.train.picks import Pick, Picture, Rule, course, learned_for, result
from ...host import announce_picture
from ..prompts import encoded
from . import telling
from .job import Job
from .making import Maker
from .shown import Films, Progress, for_page


class Round:
    """What a job shows and gives; ``liked`` are the user's own pictures, ``node`` the node's execution id."""

    def __init__(self, job: Job, clip: Any, vae: Any, node: str | None, liked: Tensor | None) -> None:
        self._job, self._node, self._liked = job, node, liked
        self._films = Films(vae)
        # It knows nothing of the round: in a circle models would stay after the node, until they are
        # collected all at once, and the host would lose the one that it has loaded.
        self._progress = Progress(job.model, job.how.steps)
        self._maker = Maker(job, lambda text: encoded(clip, text), self._progress)

    def outputs(self, shown: Sequence[Picture], whole: int, part: tuple[int, int]) -> io.NodeOutput:
        """The node's outputs for the pictures that are to be shown."""
        job, rivals = self._job, self._rivals()
        lines = [*telling.heading(job, shown, rivals, whole), *telling.liked(job)]
        hint = telling.hint(job)
        lines += [hint] if hint else []
        rule = self._outcome(rivals)
        # Picks may have to be made again before they can be learned.
        self._progress.expect(self._missing(job.picks.picks))
        lora, model = self._given(rule, lines)
        latents, images, pages, made = self._pictures(shown)
        lines += telling.variety(latents)
        lines.append(telling.cost(job, made, len(shown), getattr(images, "nbytes", 0)))
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
    ) -> tuple[dict[Rule, dict[int, Tensor]], Any, list[dict[str, Any]], int]:
        """Latents by rule and noise, IMAGE, the page's pictures, and how many had to be made."""
        job = self._job
        missing = self._missing(shown)
        self._progress.expect(missing)
        latents: dict[Rule, dict[int, Tensor]] = {}
        pixels, pages = {}, {}
        # Rule by rule, each with its noises: every other rule is other weights to load.
        for picture in sorted(shown, key=lambda p: (p.round, p.rule.name, p.seed)):
            latent = self._maker.latent(picture.rule, picture.seed)
            latents.setdefault(picture.rule, {})[picture.seed] = latent
            name = job.name_of_picture(picture.rule, picture.seed)
            seen = pixels[picture] = self._films.pixels(name, latent)
            size = seen.shape[1], seen.shape[0]
            pages[picture] = for_page(picture, self._films.file(name), job.picks, size)
            announce_picture(self._node, pages[picture], job.picks.round, len(pages), len(shown))
        # Once whole, and one byte a number until then: a wide sheet is large.
        images = torch.stack([pixels[picture] for picture in shown]) / 255 if shown else self._instead()
        return latents, images, [pages[picture] for picture in shown], missing

    def _missing(self, pictures: Sequence[Picture | Pick]) -> int:
        return sum(not self._maker.is_kept(each.rule, each.seed) for each in pictures)

    def _instead(self) -> Any:
        """IMAGE where the round has no picture here: those of the user's own, or nothing."""
        return ExecutionBlocker(None) if self._liked is None else self._liked
