"""Progress: what a run's sigmas say, and what `auto` makes of them."""

from __future__ import annotations

import math

import pytest

from klora_core.errors import KLoraError
from klora_core.progress import Moment, Progress, Scope, in_steps, noise_levels, over_progress


def shifted(percent, shift=3.0):
    """A flow model's sigma: 1 at pure noise, 0 at the end."""
    t = 1 - percent
    return shift * t / (1 + (shift - 1) * t)


def exponential(percent):
    """Like SD1.5's: 14.6 at pure noise, 0.03 at the end."""
    return 14.6 * (0.03 / 14.6) ** percent


LEVELS = {"flow": noise_levels(shifted), "sd": noise_levels(exponential)}


def schedule(kind, start, stop, steps, end=0.0):
    make = {"flow": shifted, "sd": exponential}[kind]
    return [make(start + (stop - start) * i / steps) for i in range(steps)] + [end]


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("steps", [1, 4, 8, 20, 30, 100])
def test_auto_counts_steps_in_a_whole_run(kind, steps):
    progress = Progress("auto", LEVELS[kind])
    run = progress.of_run(schedule(kind, 0, 1, steps))
    assert run == in_steps(steps)


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize(
    ("start", "stop", "end"),
    [(0.4, 1.0, 0.0), (0.1, 1.0, 0.0), (0.0, 0.5, None), (0.5, 1.0, 0.0), (0.8, 1.0, 0.0)],
)
def test_auto_reads_the_noise_in_a_part_of_a_run(kind, start, stop, end):
    make = {"flow": shifted, "sd": exponential}[kind]
    sigmas = schedule(kind, start, stop, 20, make(stop) if end is None else end)
    run = Progress("auto", LEVELS[kind]).of_run(sigmas)
    wanted = [start + (stop - start) * i / 20 for i in range(20)]
    assert [moment.x for moment in run.moments] == pytest.approx(wanted, abs=1e-3)
    assert [moment.step for moment in run.moments] == list(range(20))


# A tenth of a thousandth of the noise schedule a level.
EVEN = tuple(1 - i / 10_000 for i in range(10_000)) + (1e-3,)


@pytest.mark.parametrize(
    ("steps", "late", "whole"),
    [
        (1, 0.049, True),
        (1, 0.051, False),
        (5, 0.049, True),
        (5, 0.051, False),
        (10, 0.024, True),
        (10, 0.026, False),
        (50, 0.0049, True),
        (50, 0.0051, False),
    ],
)
def test_a_whole_run_starts_within_a_quarter_of_its_first_step_and_a_twentieth_of_all(steps, late, whole):
    sigmas = [1 - late, *(0.8 * (1 - i / steps) for i in range(1, steps)), 0.0]
    assert Progress("auto", EVEN).mode_of(sigmas) == ("steps" if whole else "noise level")


@pytest.mark.parametrize(
    ("end", "whole"), [(0.0, True), (1e-3, True), (1.00005e-3, True), (1.0002e-3, False), (1.5e-3, False)]
)
def test_a_whole_run_ends_at_the_models_last_level_or_below(end, whole):
    assert Progress("auto", EVEN).mode_of([1.0, 0.5, end]) == ("steps" if whole else "noise level")


def test_the_bounds_of_a_whole_run_belong_to_it():
    """Late by just a quarter of the first step, and down to a model's last level of 0."""
    exact = Progress("auto", (1.0, 0.0))
    assert exact.level(0.96875) == 0.25 / 8
    assert exact.mode_of([0.96875, *(0.9 - i / 10 for i in range(7)), 0.0]) == "steps"


EMPTY = Scope(empty=True)


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize(
    ("start", "stop", "scope", "whole"),
    [
        (0.03, 1.0, EMPTY, True),
        (0.4, 1.0, EMPTY, True),
        (0.03, 1.0, Scope(), False),
        # Ends above 0, or in the middle of the noise.
        (0.0, 0.9, EMPTY, True),
        (0.0, 0.7, EMPTY, True),
        (0.0, 0.9, Scope(), False),
        (0.0, 0.6, EMPTY, False),
        (0.0, 0.5, EMPTY, False),
        # The first part of two, whose list goes on.
        (0.0, 0.9, Scope(empty=True, after=True), False),
        (0.0, 0.5, Scope(empty=True, after=True), False),
        # Denoise below 1 leaves the beginning of its list out; by less than a tenth it is a whole run.
        (0.5, 1.0, Scope(empty=True, before=True), False),
        (0.2, 1.0, Scope(empty=True, before=True), False),
        (0.08, 1.0, Scope(empty=True, before=True), True),
        (0.08, 1.0, Scope(before=True), False),
        (0.3, 0.7, Scope(empty=True, before=True, after=True), False),
    ],
)
def test_from_an_empty_latent_a_run_is_whole_unless_its_list_goes_on(kind, start, stop, scope, whole):
    make = {"flow": shifted, "sd": exponential}[kind]
    sigmas = schedule(kind, start, stop, 20, 0.0 if stop == 1 else make(stop))
    progress = Progress("auto", LEVELS[kind])
    assert progress.mode_of(sigmas, scope) == ("steps" if whole else "noise level")
    run = progress.of_run(sigmas, scope)
    assert (run == in_steps(20)) is whole and run.mode == progress.mode_of(sigmas, scope)
    for mode in ("steps", "noise level"):
        assert Progress(mode, LEVELS[kind]).mode_of(sigmas, scope) == mode


def test_a_noised_picture_is_a_part_where_an_empty_latent_is_whole():
    """The same list of 4 steps, as `ddim_uniform` makes it, and as denoise 0.75 does."""
    sigmas, progress = schedule("sd", 0.25, 1, 4), Progress("auto", LEVELS["sd"])
    assert progress.mode_of(sigmas, EMPTY) == "steps"
    assert progress.mode_of(sigmas) == "noise level"


def test_steps_closer_than_a_schedules_tolerance_are_still_steps():
    sigmas = [1.0, 0.99995, 0.9999, 0.5, 0.0]
    assert [m.step for m in Progress("steps", LEVELS["flow"]).of_run(sigmas).moments] == [0, 1, 2, 3]


def test_a_list_that_goes_up_again_has_its_steps_in_order():
    sigmas = [14.0, 5.0, 1.0, 5.0, 1.0, 0.0]
    by_steps = Progress("steps", LEVELS["sd"]).of_run(sigmas)
    assert by_steps == in_steps(5)
    by_noise = Progress("noise level", LEVELS["sd"]).of_run(sigmas).moments
    assert [m.step for m in by_noise] == [0, 1, 2, 3, 4] and by_noise[1].x == by_noise[3].x


def test_levels_are_equal_parts_of_the_schedule_inside_its_ends():
    levels = noise_levels(lambda percent: 1 - percent)
    assert len(levels) == 1001
    assert levels[::100] == pytest.approx([1 - 1e-6, *(1 - i / 10 for i in range(1, 10)), 1e-6], abs=1e-12)


def test_two_parts_agree_with_the_whole_by_noise_level():
    progress = Progress("noise level", LEVELS["sd"])
    sigmas = schedule("sd", 0, 1, 12)
    whole = progress.of_run(sigmas).moments
    parts = [*progress.of_run(sigmas[:6]).moments, *progress.of_run(sigmas[5:]).moments]
    assert [m.x for m in parts] == [m.x for m in whole]


def test_steps_stay_the_papers_in_a_part():
    sigmas = schedule("sd", 0.4, 1, 6)
    assert Progress("steps", LEVELS["sd"]).of_run(sigmas) == in_steps(6)


@pytest.mark.parametrize("mode", ["auto", "steps"])
def test_evaluations_between_schedule_values_belong_to_a_step(mode):
    sigmas = schedule("sd", 0, 1, 4)
    progress = Progress(mode, LEVELS["sd"])
    at = [progress.moment(sigma, sigmas).step for sigma in (99.0, *sigmas, (sigmas[1] + sigmas[2]) / 2)]
    assert at == [0, 0, 1, 2, 3, 3, 2]


def test_a_sampler_without_a_schedule_has_its_noise_alone():
    found = Progress("steps", LEVELS["sd"]).moment(exponential(0.25), None)
    assert found == Moment(pytest.approx(0.25, abs=1e-6), 0, 1)
    with pytest.raises(KLoraError, match="noise levels"):
        Progress("steps").moment(1.0, None)


def test_without_a_model_steps_are_all_there_is():
    for mode in ("auto", "noise level", "steps"):
        assert Progress(mode).of_run(schedule("sd", 0.5, 1, 5)) == in_steps(5)


def test_what_is_known_before_a_run():
    assert Progress("auto").of_steps(7) == Progress("steps").of_steps(7) == in_steps(7)
    known = Progress("noise level", LEVELS["sd"]).of_steps(7)
    assert known == over_progress(7) and known.are_steps is False


def test_modes():
    with pytest.raises(KLoraError, match="^Use one of .*: unknown progress"):
        Progress("Steps")
    assert Progress("auto", LEVELS["sd"]) == Progress("auto"), "a model's levels are no part of the choice"


def test_levels_at_the_ends_are_inside_the_schedule():
    def host(percent):
        return math.inf if percent <= 0 else 0.0 if percent >= 1 else exponential(percent)

    levels = noise_levels(host)
    assert math.isfinite(levels[0]) and levels[-1] > 0
    assert Progress("noise level", levels).level(1e9) == 0.0
    assert Progress("noise level", levels).level(0.0) == 1.0
