"""The clock on diffusers' own schedulers, in whole runs, in parts of runs, and run after run."""

from __future__ import annotations

from math import ceil

import pytest
import torch

from klora_core.errors import KLoraError
from klora_core.pipelines.schedulers import StepClock
from klora_core.progress import NOISE_LEVEL, STEPS

pytestmark = pytest.mark.slow

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (a development requirement)")

# The step of each evaluation of 6 steps. The second of a step counts as the next; PNDM repeats one.
ONE, TWO, PNDM = [*range(6)], [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], [0, 1, 1, 2, 3, 4, 5]
SCHEDULERS = {
    "DDIMScheduler": ({}, ONE),
    "DDPMScheduler": ({}, ONE),
    "PNDMScheduler": ({"skip_prk_steps": True}, PNDM),
    "LCMScheduler": ({}, ONE),
    "LMSDiscreteScheduler": ({}, ONE),
    "EulerDiscreteScheduler": ({"timestep_spacing": "leading"}, ONE),
    "EulerAncestralDiscreteScheduler": ({}, ONE),
    "DPMSolverMultistepScheduler": ({"use_karras_sigmas": True}, ONE),
    "UniPCMultistepScheduler": ({}, ONE),
    "HeunDiscreteScheduler": ({}, TWO),
    "KDPM2DiscreteScheduler": ({}, TWO),
    "FlowMatchEulerDiscreteScheduler": ({"shift": 3.0}, ONE),
    "FlowMatchHeunDiscreteScheduler": ({}, TWO),
}


def make(name):
    return getattr(diffusers, name)(**SCHEDULERS[name][0])


def evaluations(scheduler, clock, start=0):
    """What a pipeline does: the model's timestep, the clock's moment of each evaluation."""
    x, moments = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)), []
    if start and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(start)
    for t in scheduler.timesteps[start:]:
        if hasattr(scheduler, "scale_model_input"):
            scheduler.scale_model_input(x, t)
        moments.append((float(t), clock.read(t)))
        x = scheduler.step(torch.randn_like(x), t, x).prev_sample
    return moments


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_whole_run_is_counted_as_in_the_paper(name):
    scheduler, steps = make(name), SCHEDULERS[name][1]
    clock = StepClock(scheduler)
    for _ in range(2):
        scheduler.set_timesteps(6)
        found = [moment for _, moment in evaluations(scheduler, clock)]
        assert [m.step for m in found] == steps
        assert {m.steps for m in found} == {6}
        assert [m.x for m in found] == [(m.step + 0.5) / 6 for m in found]
        assert [m.step for m in clock.columns.moments] == ONE
    scheduler.set_timesteps(9)
    assert {m.steps for _, m in evaluations(scheduler, clock)} == {9}, "another count is another run"


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_part_of_a_run_is_read_off_its_noise(name):
    scheduler, order = make(name), 2 if SCHEDULERS[name][1] is TWO else 1
    scheduler.set_timesteps(20)
    start = 12 * order
    found = evaluations(scheduler, StepClock(scheduler), start)
    flow = name.startswith("Flow")
    steps = 20
    first = (start - 1 if name == "PNDMScheduler" else ceil(start / order)) / steps
    for t, m in found:
        expected = (m.step / steps + first) if flow else 1 - t / 999
        assert m.x == pytest.approx(expected, abs=1e-6)
    assert found[0][1].step == 0
    assert found[-1][1].step == found[-1][1].steps - 1


def test_each_mode_can_be_asked_for():
    scheduler = make("EulerDiscreteScheduler")
    scheduler.set_timesteps(10)
    parts = [m.x for _, m in evaluations(scheduler, StepClock(scheduler, STEPS), 6)]
    assert parts == [0.125, 0.375, 0.625, 0.875]
    scheduler.set_timesteps(10)
    whole = evaluations(scheduler, StepClock(scheduler, NOISE_LEVEL))
    assert [m.x for _, m in whole] == pytest.approx([1 - t / 999 for t, _ in whole])


def test_no_timesteps_and_no_timestep():
    scheduler = make("DDIMScheduler")
    with pytest.raises(KLoraError, match="pipeline samples with"):
        StepClock(object()).read(torch.tensor(3))
    scheduler.set_timesteps(4)
    with pytest.raises(KLoraError, match="without a timestep"):
        StepClock(scheduler).read(None)
