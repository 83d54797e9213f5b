"""Scores of pictures: how much of a subject and how much of a style, both from 0 to 1, read off the picture.

Subject: 1 - log(rank) / log(N), where rank is the subject's place among all N names that the eye could mean,
moved so that what the base draws for the trigger alone scores 0. Style: its probability among the eight and
"none of these". A picture counts by the harmonic mean: only what is both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..draw.drawings import SIDE
from ..model.fit_vae import load_decoder
from ..model.sampling import first_noise, sample
from ..pairs import TRIGGERS, Pair
from ..training.base import load_base
from .network import CLASSES, Eye, bank, load_eye, rank

CHANCE_PICTURES = 16


@dataclass(frozen=True)
class Verdict:
    """Scores of a batch, each [B] in 0..1."""

    subject: Tensor
    style: Tensor

    @property
    def both(self) -> Tensor:
        """Harmonic mean a picture."""
        return 2 * self.subject * self.style / (self.subject + self.style).clamp_min(1e-9)


class Judge:
    """Latents in, scores out."""

    def __init__(self) -> None:
        self.eye: Eye = load_eye()
        self.decoder = load_decoder()
        self.names, self.known = bank(self.eye)
        self._chance: dict[str, float] = {}

    @torch.inference_mode()
    def pictures(self, latents: Tensor) -> Tensor:
        """[B, 3, 96, 96] in 0..1."""
        return self.decoder(latents.float()).clamp(0, 1)

    def raw(self, drawn: Tensor, subject: str) -> Tensor:
        """1 - log(rank) / log(N) of each picture."""
        return 1 - rank(self.eye, self.known, drawn, self.names.index(subject)).log() / math.log(
            len(self.names)
        )

    def chance(self, subject: str) -> float:
        """What the base's pictures of the trigger, which it does not know, score."""
        if subject not in self._chance:
            latents = sample(load_base(), f"flat {TRIGGERS[subject]}", first_noise(900, CHANCE_PICTURES))
            self._chance[subject] = float(self.raw(self.pictures(latents), subject).mean())
        return self._chance[subject]

    def subject(self, drawn: Tensor, name: str) -> Tensor:
        """Subject score [B]."""
        zero = self.chance(name)
        return ((self.raw(drawn, name) - zero) / (1 - zero)).clamp(0, 1)

    @torch.inference_mode()
    def style(self, drawn: Tensor, name: str) -> Tensor:
        """Style score [B]."""
        return self.eye(drawn)[1].softmax(1)[:, CLASSES.index(name)]

    def scores(self, latents: Tensor, pair: Pair) -> dict[str, list[float]]:
        """Subject and style of each picture [B, 16, 12, 12], as they are kept."""
        verdict = self(self.pictures(latents), pair.subject, pair.style)
        return {
            "subject": [round(float(v), 4) for v in verdict.subject],
            "style": [round(float(v), 4) for v in verdict.style],
        }

    def __call__(self, drawn: Tensor, subject: str, style: str) -> Verdict:
        """How much of this subject and of this style. Raises ValueError for pictures of another size."""
        if drawn.shape[-2:] != (SIDE, SIDE):
            raise ValueError(f"the judge reads pictures of {SIDE} x {SIDE}, got {tuple(drawn.shape)}")
        return Verdict(self.subject(drawn, subject), self.style(drawn, style))
