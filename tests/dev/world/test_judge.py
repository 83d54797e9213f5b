"""The small world's judge on drawings, where the truth is known: concepts and subjects that it never saw."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from world.draw.concepts import SUBJECTS, judged
from world.draw.drawings import NoDrawingsError, folder, names
from world.draw.styles import BASE_STYLES, HELD_OUT_STYLES, STYLES
from world.draw.views import pictures, random_view
from world.judging.judge import Judge
from world.judging.network import CLASSES, as_made, bank, load_eye, rank, validation
from world.model.sampling import first_noise

pytestmark = pytest.mark.slow

try:
    names()
except NoDrawingsError:
    pytest.skip(f"no drawings in {folder().name}: npm ci brings them", allow_module_level=True)

VIEWS = 3


@pytest.fixture(scope="session")
def judge():
    return Judge()


@cache
def drawn(name: str) -> torch.Tensor:
    """[VIEWS, styles, 3, 96, 96] through the VAE, as everything that is judged."""
    rng = np.random.default_rng((0, *name.encode()))
    generator = torch.Generator().manual_seed(0)
    return torch.stack(
        [as_made(pictures(name, tuple(STYLES), random_view(rng)), 0.0, generator) for _ in range(VIEWS)]
    )


def in_style(name: str, style: str) -> torch.Tensor:
    return drawn(name)[:, list(STYLES).index(style)]


def test_the_kept_table_is_what_is_measured():
    """world/README.md's table: concept first among all names, and style told, on what was never seen."""
    found = validation(load_eye())
    assert min(told for _, told in found.values()) >= 0.95, found
    assert min(first for first, _ in found.values()) >= 0.5, found
    assert np.mean([first for first, _ in found.values()]) >= 0.75, found


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_truth_scores_high_on_both(judge, subject):
    for style in HELD_OUT_STYLES:
        verdict = judge(in_style(subject, style), subject, style)
        assert float(verdict.both.mean()) >= 0.8, (style, verdict)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_another_subject_is_no_match(judge, subject):
    others = [o for o in SUBJECTS if o != subject]
    scores = [float(judge.subject(in_style(other, "neon"), subject).mean()) for other in others]
    assert np.mean(scores) <= 0.3 and max(scores) <= 0.65, dict(zip(others, scores, strict=True))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_base_styles_are_no_held_out_style(judge, subject):
    held_out = [CLASSES.index(s) for s in HELD_OUT_STYLES]
    for style in BASE_STYLES:
        probabilities = judge.eye(in_style(subject, style))[1].softmax(1)
        assert float(probabilities[:, held_out].sum(1).max()) <= 0.25, style


def test_noise_and_blends_are_neither(judge):
    noise = judge.pictures(first_noise(1, 4))
    blend = 0.5 * in_style("owl", "flat") + 0.5 * in_style("skull", "neon")
    for shown in (noise, blend):
        for style in HELD_OUT_STYLES:
            assert float(judge.style(shown, style).mean()) <= 0.25, style


@pytest.mark.parametrize("subject", SUBJECTS)
def test_noise_is_nothing(judge, subject):
    noise = judge.pictures(first_noise(1, 4))
    for style in HELD_OUT_STYLES:
        assert float(judge(noise, subject, style).both.mean()) <= 0.05, style


def test_a_little_noise_changes_little(judge):
    shown = in_style("cactus", "blueprint")
    noise = torch.randn(shown.shape, generator=torch.Generator().manual_seed(4)) * 0.03
    clean, noisy = (judge(p.clamp(0, 1), "cactus", "blueprint") for p in (shown, shown + noise))
    for one, other in ((clean.subject, noisy.subject), (clean.style, noisy.style)):
        assert float(one.mean()) == pytest.approx(float(other.mean()), abs=0.06)


def test_pictures_of_another_size_are_refused(judge):
    with pytest.raises(ValueError, match="96"):
        judge(torch.zeros(1, 3, 64, 64), "owl", "ink")


def test_a_rank_is_counted_from_one_among_all_names():
    eye = load_eye()
    known, likeness = bank(eye)
    assert len(known) == len(set(known)) == len(names()) + len(SUBJECTS)
    assert set(judged(list(names()))) <= set(known)
    place = rank(eye, likeness, in_style("owl", "flat"), known.index("owl"))
    assert place.min() >= 1 and place.max() <= len(known)
