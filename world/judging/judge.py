"""The judge: how much of a subject and how much of a style is in a picture, both from 0 to 1, read off the
picture.

Subject: the silhouette that the eye sees is fitted by the subject's exact outline over place, size and
turn. Overlap is intersection over union, moved so that the nearest base shape scores 0 and the true
subject, drawn in the style that is asked for, 1; the marks (eyes, porthole, spots) at the fitted place
weigh one third, on the same measure. Style: the probability of the style among eight and `none of these`. A
picture's joint score is the harmonic mean of both: it counts only what is both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..draw.forms import FORMS, SHAPES, SUBJECTS, Form
from ..draw.scenes import SIDE, Scene, draw, form_distance, random_scene
from .network import CLASSES, SEEN, Eye, load_eye

SIZES = tuple(np.linspace(27, 41, 8))
TURNS = (-0.12, 0.0, 0.12)
MARKS_SHARE = 1 / 3
# Rendered pictures of the truth that a score of 1 is measured on.
TRUTHS = 24


@dataclass(frozen=True)
class Verdict:
    """Scores of a batch, each [B] in 0..1."""

    subject: Tensor
    style: Tensor

    @property
    def both(self) -> Tensor:
        """Harmonic mean a picture."""
        return 2 * self.subject * self.style / (self.subject + self.style).clamp_min(1e-9)


def _still(size: float, turn: float) -> Scene:
    return Scene("circle", "red", "paper", "flat", True, 0.0, 0.0, float(size), float(turn), 0)


def _halved(inside: np.ndarray) -> np.ndarray:
    return inside.reshape(SEEN, 2, SEEN, 2).mean((1, 3))


@lru_cache(maxsize=32)
def _templates(name: str) -> Tensor:
    """Silhouettes of a form in the middle, over sizes and turns, [24, 48, 48]."""
    form = FORMS[name]
    fields = [form_distance(_still(s, t), form) for s in SIZES for t in TURNS]
    return torch.from_numpy(np.stack([_halved(np.clip(0.5 - f, 0, 1)) for f in fields])).float()


def fit(silhouettes: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Best overlap [B] of seen silhouettes [B, 48, 48] with a form, and where: template, rows and columns
    off the middle.

    All places at once by a product of spectra; intersection over union of soft masks.
    """
    templates = _templates(name)
    double = (2 * SEEN, 2 * SEEN)
    seen = torch.fft.rfft2(silhouettes, s=double)[:, None]
    there = torch.fft.rfft2(templates, s=double)[None]
    shared = torch.fft.irfft2(seen * there.conj(), s=double)
    shared = torch.roll(shared, (SEEN // 2, SEEN // 2), (-2, -1))[..., :SEEN, :SEEN]
    areas = silhouettes.sum((1, 2))[:, None] + templates.sum((1, 2))[None]
    overlap = (shared / (areas[..., None, None] - shared).clamp_min(1e-6)).flatten(1)
    best, where = overlap.max(1)
    template, place = where // SEEN**2, where % SEEN**2
    return best, template, place // SEEN - SEEN // 2, place % SEEN - SEEN // 2


def _marks_score(marks: Tensor, form: Form, template: int, rows: int, columns: int) -> float:
    """Marks seen [48, 48] against a form's own at the fitted place: the worse of found and alone.

    Found: mean over the marks of what is seen in each one's middle. Alone: the share of all that is seen,
    inside the fitted outline, that lies within a mark grown by half a pixel of the map and two fifths of
    its radius.
    """
    size, turn = SIZES[template // len(TURNS)] / 2, TURNS[template % len(TURNS)]
    y, x = np.mgrid[0:SEEN, 0:SEEN] + 0.5
    x, y = x - SEEN / 2 - columns, y - SEEN / 2 - rows
    u, v = (x * np.cos(turn) + y * np.sin(turn)) / size, (y * np.cos(turn) - x * np.sin(turn)) / size
    seen, found, allowed = marks.numpy(), [], np.zeros((SEEN, SEEN), bool)
    for cx, cy, radius in form.marks:
        away = np.hypot(u - cx, v - cy)
        near = away <= 1.4 * radius + 1.0 / size
        # The best spot near the mark: the fit's place is known to half a pixel of the map only.
        found.append(float(np.sort(seen[near])[-max(2, int(1.5 * (radius * size) ** 2)) :].mean()))
        allowed |= near
    inside = form.distance(u.astype(np.float32), v.astype(np.float32)) < 0
    total = float(seen[inside].sum())
    alone = float(seen[inside & allowed].sum()) / total if total > 1.0 else 0.0
    return min(float(np.mean(found)), alone)


@lru_cache(maxsize=8)
def nearest_shape(name: str) -> float:
    """The highest overlap of a base shape's exact silhouette with a subject: the subject score's zero."""
    shapes = torch.stack([_templates(shape)[len(TURNS) * 4 + 1] for shape in SHAPES])
    return float(fit(shapes, name)[0].max())


class Judge:
    """Pictures in, scores out."""

    def __init__(self, eye: Eye | None = None) -> None:
        self.eye = eye or load_eye()
        self._truths: dict[tuple[str, str], tuple[float, float]] = {}

    @torch.inference_mode()
    def see(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Silhouettes, marks [B, 48, 48], style probabilities [B, 9] of pictures [B, 3, 96, 96] in 0..1."""
        if pictures.shape[-2:] != (SIDE, SIDE):
            raise ValueError(f"the judge reads pictures of {SIDE} x {SIDE}, got {tuple(pictures.shape)}")
        maps, styles = self.eye(pictures.float())
        seen = maps.sigmoid()
        return seen[:, 0], seen[:, 1], styles.softmax(1)

    def subject(self, silhouettes: Tensor, marks: Tensor, name: str, style: str) -> Tensor:
        """Subject score [B] of what was seen; ``style`` is the one in which the truth would score 1."""
        overlap, marked = self._measured(silhouettes, marks, name)
        zero, (true_overlap, true_marks) = nearest_shape(name), self._truth(name, style)
        shape = ((overlap - zero) / (true_overlap - zero)).clamp(0, 1)
        return shape * (1 - MARKS_SHARE + MARKS_SHARE * (marked / true_marks).clamp(0, 1))

    def _measured(self, silhouettes: Tensor, marks: Tensor, name: str) -> tuple[Tensor, Tensor]:
        overlap, template, rows, columns = fit(silhouettes, name)
        found = [
            _marks_score(m, SUBJECTS[name], int(t), int(r), int(c))
            for m, t, r, c in zip(marks, template, rows, columns, strict=True)
        ]
        return overlap, torch.tensor(found)

    def _truth(self, name: str, style: str) -> tuple[float, float]:
        """Overlap and marks that four fifths of the true pictures reach, of a subject in a style."""
        if (name, style) not in self._truths:
            rng = np.random.default_rng((70, *name.encode(), *style.encode()))
            drawn = np.stack([draw(random_scene(rng, (name,), (style,))) for _ in range(TRUTHS)])
            silhouettes, marks, _ = self.see(torch.from_numpy(drawn).permute(0, 3, 1, 2))
            overlap, marked = self._measured(silhouettes, marks, name)
            self._truths[name, style] = float(overlap.quantile(0.2)), float(marked.quantile(0.2))
        return self._truths[name, style]

    def __call__(self, pictures: Tensor, subject: str, style: str) -> Verdict:
        """How much of this subject and of this style."""
        silhouettes, marks, styles = self.see(pictures)
        return Verdict(self.subject(silhouettes, marks, subject, style), styles[:, CLASSES.index(style)])
