"""The small world's judge on pictures of the renderer, where the truth is known. Seconds, no model."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from world.draw.forms import SHAPES, SUBJECTS
from world.draw.scenes import draw, random_scene
from world.draw.styles import HELD_OUT_STYLES, PLAIN_STYLES
from world.judging.judge import Judge
from world.judging.network import CLASSES

pytestmark = pytest.mark.slow

PICTURES = 6


@pytest.fixture(scope="session")
def judge():
    return Judge()


@pytest.fixture(scope="session")
def seen(judge):
    """`seen(form, style)` -> what the judge's eye sees in pictures of them, whatever is asked for."""
    return cache(lambda form, style: judge.see(pictures(form, style)))


@cache
def pictures(form: str, style: str) -> torch.Tensor:
    rng = np.random.default_rng(0)
    drawn = [draw(random_scene(rng, (form,), (style,))) for _ in range(PICTURES)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)


def means(judge: Judge, shown: torch.Tensor, subject: str, style: str) -> tuple[float, float]:
    verdict = judge(shown, subject, style)
    return float(verdict.subject.mean()), float(verdict.style.mean())


@pytest.mark.parametrize("style", HELD_OUT_STYLES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_truth_scores_high_on_both(judge, subject, style):
    found = means(judge, pictures(subject, style), subject, style)
    assert min(found) >= 0.9, found


@pytest.mark.parametrize("subject", SUBJECTS)
def test_another_subject_is_no_match(judge, subject):
    for other in set(SUBJECTS) - {subject}:
        assert means(judge, pictures(other, "neon"), subject, "neon")[0] <= 0.15, other


@pytest.mark.parametrize("subject", SUBJECTS)
def test_base_shapes_score_near_zero_as_subject(judge, seen, subject):
    for style in HELD_OUT_STYLES:
        scores = [float(judge.subject(*seen(shape, style)[:2], subject, style).mean()) for shape in SHAPES]
        assert max(scores) <= 0.25, (style, dict(zip(SHAPES, scores, strict=True)))
        assert np.mean(scores) <= 0.08


@pytest.mark.parametrize("subject", SUBJECTS)
def test_plain_styles_are_no_held_out_style(judge, subject):
    for plain in PLAIN_STYLES:
        _, _, styles = judge.see(pictures(subject, plain))
        held_out = [CLASSES.index(s) for s in HELD_OUT_STYLES]
        assert float(styles[:, held_out].mean(0).max()) <= 0.1, plain
        assert float(styles[:, held_out].sum(1).max()) <= 0.25, plain


def test_noise_and_blends_are_neither(judge):
    rng = torch.Generator().manual_seed(1)
    noise = torch.rand(PICTURES, 3, 96, 96, generator=rng)
    blend = 0.5 * pictures("bunny", "flat") + 0.5 * pictures("circle", "neon")
    for shown in (noise, blend):
        for style in HELD_OUT_STYLES:
            assert float(judge(shown, "bunny", style).style.mean()) <= 0.2
    assert float(judge(noise, "bunny", "neon").both.max()) <= 0.05


def test_without_its_marks_a_subject_is_worth_less(judge):
    rng = np.random.default_rng(2)
    whole, bare = [], []
    for _ in range(PICTURES):
        scene = random_scene(rng, ("bunny",), ("halftone",))
        whole.append(draw(scene))
        bare.append(draw(type(scene)(**{**scene.__dict__, "eyes": False})))
    both = [torch.from_numpy(np.stack(p)).permute(0, 3, 1, 2) for p in (whole, bare)]
    with_marks, without = (float(judge(p, "bunny", "halftone").subject.mean()) for p in both)
    assert without <= with_marks - 0.2


def test_a_little_noise_changes_little(judge):
    shown = pictures("fish", "blueprint")
    noise = torch.randn(shown.shape, generator=torch.Generator().manual_seed(4)) * 0.03
    clean, noisy = (means(judge, p.clamp(0, 1), "fish", "blueprint") for p in (shown, shown + noise))
    assert np.allclose(clean, noisy, atol=0.06)


def test_pictures_of_another_size_are_refused(judge):
    with pytest.raises(ValueError, match="96"):
        judge(torch.zeros(1, 3, 64, 64), "bunny", "neon")
