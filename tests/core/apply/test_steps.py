"""The step of an evaluation: what the sampler reports, whatever noise the model is told."""

from __future__ import annotations

import pytest
import torch

from klora_core.apply import Clock, Run
from klora_core.progress import NOISE_LEVEL, STEPS, Progress, Scope

SIGMAS = (10.0, 6.0, 3.0, 1.5, 0.4, 0.0)
RESTART = (10.0, 6.0, 3.0, 1.5, 6.0, 3.0, 1.5, 0.4, 0.0)
LEVELS = (10.0, 5.0, 1.0, 0.1)
REPORT = "report"


def euler(sigmas):
    for i, sigma in enumerate(sigmas[:-1]):
        yield sigma
        yield REPORT, i


def heun(sigmas):
    """Once more at the next value, but at the end."""
    for i, (sigma, following) in enumerate(zip(sigmas, sigmas[1:], strict=False)):
        yield sigma
        yield REPORT, i
        if following:
            yield following


def middle(sigmas):
    """Once more half-way, as dpm_2 and dpmpp_sde do."""
    for i, (sigma, following) in enumerate(zip(sigmas, sigmas[1:], strict=False)):
        yield sigma
        yield REPORT, i
        if following:
            yield (sigma * following) ** 0.5


def twice(sigmas):
    """Once more at the same value, as sa_solver_pece does."""
    for i, sigma in enumerate(sigmas[:-1]):
        yield sigma
        yield REPORT, i
        if i:
            yield sigma


def thrice(sigmas):
    """At the two values after it too, as heunpp2 does."""
    for i, sigma in enumerate(sigmas[:-1]):
        yield sigma
        yield REPORT, i
        yield from sigmas[i + 1 : min(i + 3, len(sigmas) - 1)]


def told(events, sigmas=SIGMAS, mode=STEPS, lie=lambda sigma, n: sigma, reports=True, scope=None):
    """The moments that a clock tells of a run's evaluations, with the sigmas that the model is told."""
    clock, schedule, found, count = None, torch.tensor(sigmas), [], 0
    run = Run(tuple(schedule.tolist()), scope or Scope(), reports)
    for event in events:
        if isinstance(event, tuple):
            if clock is not None:
                clock.report(event[1])
            continue
        if clock is None:
            clock = Clock(Progress(mode), lambda: LEVELS, run=run)
        else:
            clock.tick()
        found.append(clock.read(torch.tensor([lie(event, count)]), schedule))
        count += 1
    return found


def steps(*args, **kwargs):
    return [moment.step for moment in told(*args, **kwargs)]


HONEST = {euler: 5, heun: 9, middle: 9, twice: 9, thrice: 12}


@pytest.mark.parametrize("sampler", HONEST)
@pytest.mark.parametrize("mode", [STEPS, NOISE_LEVEL])
def test_with_the_schedules_own_noise_reports_change_nothing(sampler, mode):
    found = told(sampler(SIGMAS), mode=mode)
    assert len(found) == HONEST[sampler]
    assert found == told(sampler(SIGMAS), mode=mode, reports=False)
    assert [m.step for m in found][:3] == {euler: [0, 1, 2], thrice: [0, 1, 2]}.get(sampler, [0, 1, 1])


@pytest.mark.parametrize("factor", [0.95, 0.5, 0.1, 1.05, 1.5, 3.0])
@pytest.mark.parametrize("sampler", [euler, heun, middle])
def test_the_step_is_the_samplers_whatever_the_model_is_told(sampler, factor):
    assert steps(sampler(SIGMAS), lie=lambda sigma, n: sigma * factor) == steps(sampler(SIGMAS))


def test_it_may_be_told_the_schedules_noise_at_first():
    def lie(sigma, n):
        return sigma if n < 2 else sigma * 0.3

    assert steps(euler(SIGMAS), lie=lie) == [0, 1, 2, 3, 4]
    assert steps(euler(SIGMAS), lie=lie, reports=False) == [0, 1, 4, 4, 4], "noise alone says otherwise"


def test_by_noise_level_the_noise_is_the_latents_not_what_the_model_is_told():
    honest = told(euler(SIGMAS), mode=NOISE_LEVEL)
    assert told(euler(SIGMAS), mode=NOISE_LEVEL, lie=lambda sigma, n: sigma * 0.7) == honest
    # Half-way between two values an evaluation has its own.
    between = told(middle(SIGMAS), mode=NOISE_LEVEL)
    assert between[0].x < between[1].x < between[2].x


@pytest.mark.parametrize("mode", [STEPS, NOISE_LEVEL])
@pytest.mark.parametrize("sampler", [euler, heun, middle])
def test_a_list_that_goes_up_again(sampler, mode):
    first = [m for m, e in zip(told(sampler(RESTART), RESTART, mode), _firsts(sampler), strict=True) if e]
    assert [m.step for m in first] == list(range(8))
    if mode == NOISE_LEVEL:
        assert first[1].x == first[4].x


def _firsts(sampler):
    """By evaluation, whether it is its step's first: those that a report follows."""
    events = [*sampler(RESTART)]
    return [
        events[i + 1 : i + 2] and isinstance(events[i + 1], tuple)
        for i, e in enumerate(events)
        if not isinstance(e, tuple)
    ]


def test_a_flipped_list():
    flipped = (0.1, 0.4, 1.5, 3.0, 6.0, 10.0)
    assert steps(euler(flipped), flipped) == [0, 1, 2, 3, 4]
    x = [moment.x for moment in told(euler(flipped), flipped, NOISE_LEVEL)]
    assert x == sorted(x, reverse=True)


def test_restarts_that_are_no_step_and_reports_from_one():
    """A restart pack begins its pieces anew, skips the step up, and counts from 1."""

    def pieces():
        for n, sigma in enumerate([*RESTART[:3], *RESTART[4:8]], start=1):
            yield sigma
            yield REPORT, n

    assert steps(pieces(), RESTART) == [0, 1, 2, 4, 5, 6, 7]


def test_noise_equal_in_two_steps():
    flat = (10.0, 6.0, 6.0, 6.0, 1.0, 0.0)
    assert steps(euler(flat), flat) == [0, 1, 2, 3, 4]


def none(sigmas):
    return (e for e in euler(sigmas) if not isinstance(e, tuple))


def late(sigmas):
    """Reports a step when all of it is done, as dpm_adaptive does."""
    for i, (sigma, following) in enumerate(zip(sigmas, sigmas[1:], strict=False)):
        yield from (sigma, (sigma + following) / 2)
        yield REPORT, i


def early(sigmas):
    for i, sigma in enumerate(sigmas[:-1]):
        yield REPORT, 0
        yield REPORT, i
        yield sigma


def often(sigmas):
    """Blocks of a video that go all the way one after the other."""
    for i in (0, 1):
        for sigma in sigmas[:-1]:
            yield sigma
            yield REPORT, i


def too_many(sigmas):
    for i in range(12):
        yield sigmas[0] * 0.7**i
        yield REPORT, i


@pytest.mark.parametrize("sampler", [none, late, often])
@pytest.mark.parametrize("mode", [STEPS, NOISE_LEVEL])
def test_reports_of_another_kind_are_not_believed(sampler, mode):
    assert told(sampler(SIGMAS), mode=mode) == told(sampler(SIGMAS), mode=mode, reports=False)


def test_more_reports_than_steps_are_not_believed_from_then_on():
    found = steps(too_many(SIGMAS))
    assert found[:6] == [0, 1, 2, 3, 4, 4] and max(found) == 4


def test_a_pass_that_fills_a_cache_has_its_own_step():
    assert steps(iter([0.0, *euler(SIGMAS)])) == steps(iter([0.0, *euler(SIGMAS)]), reports=False)


def test_a_call_to_the_side_goes_by_its_noise():
    clock = Clock(Progress(STEPS), lambda: LEVELS, run=Run(SIGMAS, reports=True))
    schedule = torch.tensor(SIGMAS)
    for i in (0, 1):
        assert clock.read(schedule[i : i + 1], schedule).step == i
        assert clock.read(torch.tensor([SIGMAS[i]]), schedule).step == i, "on another device"
        assert clock.read(torch.tensor([1.5]), schedule).step == 3
        clock.report(i)
        clock.tick()


def test_the_run_that_was_asked_for_decides_how_it_is_counted():
    """uni_pc has written into the end of the schedule before the first evaluation."""
    asked = torch.tensor([10.0, 5.0, 0.0])
    heard = []
    run = Run((10.0, 5.0, 0.0))
    clock = Clock(Progress(), lambda: (10.0, 5.0, 1e-6), lambda *told: heard.append(told), run)
    asked[-1] = 0.001
    clock.read(asked[:1], asked)
    clock.tick()
    clock.read(asked[1:2], asked.clone())
    ((mode, columns),) = heard
    assert mode == columns.mode == STEPS


def test_what_is_known_of_a_run_is_not_said_of_another_list():
    heard = []
    run = Run((3.0, 1.5, 0.0), Scope(empty=True), True)
    clock = Clock(Progress(), lambda: LEVELS, lambda mode, columns: heard.append(mode), run)
    own, other = torch.tensor([3.0, 1.5, 0.0]), torch.tensor([3.0, 2.0, 0.0])
    for schedule in (own, other):
        clock.read(schedule[:1], schedule)
        clock.tick()
    assert heard == [STEPS, NOISE_LEVEL]
    # Back again its reports may be those of the other.
    clock.report(0)
    assert clock.read(torch.tensor([3.0]), own).step == 0
