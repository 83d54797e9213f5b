"""The clock: once per run and evaluation, whatever tensors a sampler hands over."""

from __future__ import annotations

import pytest
import torch

from klora_core.apply import Clock
from klora_core.progress import NOISE_LEVEL, STEPS, Progress

SIGMAS = torch.tensor([10.0, 6.0, 3.0, 1.5, 0.4, 0.0])
LEVELS = (10.0, 5.0, 1.0, 0.1)


def clock_of(mode, levels=LEVELS):
    told, asked = [], []
    clock = Clock(Progress(mode), lambda: asked.append(1) or levels, lambda *run: told.append(run))
    return clock, told, asked


def test_a_clock_tells_each_run_once_and_reads_each_evaluation():
    clock, told, asked = clock_of("auto")
    for sigma in SIGMAS[:-1].split(1):
        clock.tick()
        moment = clock.read(sigma, SIGMAS)
        assert clock.read(sigma, SIGMAS) is moment
    assert moment == (0.9, 4, 5)
    ((mode, columns),) = told
    assert mode == STEPS
    assert [m.x for m in columns.moments] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    part = torch.tensor([3.0, 1.0, 0.1])
    assert clock.read(part[:1], part).step == 0
    assert [mode for mode, _ in told] == [STEPS, NOISE_LEVEL]
    assert told[1][1].moments[1].x == pytest.approx(2 / 3)
    assert asked == [1]


def test_a_clock_reads_a_tensor_anew_in_the_next_evaluation():
    """A sampler may write its next sigma into the same tensor."""
    clock, _, _ = clock_of(STEPS)
    sigma = torch.tensor([10.0, 10.0])
    assert clock.read(sigma, SIGMAS).step == 0
    sigma.fill_(1.5)
    assert clock.read(sigma, SIGMAS).step == 0, "cond and uncond are one evaluation"
    clock.tick()
    assert clock.read(sigma, SIGMAS).step == 3


def test_a_clock_without_a_schedule_goes_by_noise_level():
    clock, told, _ = clock_of("auto")
    moment = clock.read(torch.tensor([5.0]), None)
    assert (moment.x, moment.step, moment.steps) == (pytest.approx(1 / 3), 0, 1)
    assert told == []


def test_a_clock_needs_nobody_to_tell():
    assert Clock(Progress(STEPS), lambda: LEVELS).read(SIGMAS[:1], SIGMAS) == (0.1, 0, 5)
