"""How a run is counted: all schedules and samplers of the host, and those that tell the model other noise."""

from __future__ import annotations

import functools
import importlib.util
import sys

import comfy.k_diffusion.sampling as k_diffusion
import comfy.samplers
import numpy as np
import pytest
import torch
from comfy_extras import nodes_custom_sampler as custom
from comfy_extras.nodes_optimalsteps import OptimalStepsScheduler

from tests.support.host.nodes import fuse, part, unet_pair
from tests.support.host.noise_only import SAMPLINGS, counted, lying, schedule
from tools.host import other_packs

COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40)
STEPS, NOISE = "steps", "noise level"
EULER = comfy.samplers.sampler_object("euler")
PICTURE = torch.full((1, 4, 4, 4), 0.5)


@functools.cache
def noises(model):
    """Shares of a run that are done, from its end on, and the noise at each."""
    grid = [0.0, *((i + 0.5) / 1000 for i in range(1000)), 1.0]
    sampling = SAMPLINGS[model]
    return grid[::-1], [float(sampling.percent_to_sigma(min(max(x, 1e-6), 1 - 1e-6))) for x in grid][::-1]


@pytest.mark.parametrize("model", SAMPLINGS)
@pytest.mark.parametrize("scheduler", comfy.samplers.SCHEDULER_NAMES)
def test_every_schedule_is_counted_as_the_paper_counts(pack, scheduler, model):
    """x = (i + 1/2) / T at full denoise of an empty latent; by noise level the share that is done."""
    sampling = SAMPLINGS[model]
    done, rising = noises(model)
    for count in COUNTS:
        sigmas = schedule(sampling, scheduler, count)
        if bool(sigmas.isnan().any()):
            # kl_optimal in one step.
            continue
        steps = len(sigmas) - 1
        for progress, mode in (("auto", STEPS), (NOISE, NOISE)):
            found = counted(pack, sampling, EULER, sigmas, progress)
            assert found.mode == mode, (count, found)
            assert found.steps == list(range(steps))
            x = [moment.x for _, moment in found.evaluations]
            assert x == [moment.x for moment in found.columns.moments]
            if mode == STEPS:
                assert x == [(i + 0.5) / steps for i in range(steps)]
            else:
                wanted = np.interp(sigmas[:-1].double().numpy(), rising, done)
                assert x == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize("name", comfy.samplers.SAMPLER_NAMES)
def test_on_the_schedules_own_noise_a_samplers_reports_change_nothing(pack, name):
    for sampling in (SAMPLINGS["sd"], SAMPLINGS["flux"]):
        for progress in (STEPS, NOISE):
            found, by_noise = (
                counted(
                    pack,
                    sampling,
                    comfy.samplers.sampler_object(name),
                    schedule(sampling, "simple", 8),
                    progress,
                    believed=believed,
                )
                for believed in (True, False)
            )
            assert found.evaluations == by_noise.evaluations


def sigmas_of(*values):
    return torch.tensor(values)


def optimal(sampling):
    return OptimalStepsScheduler.execute("FLUX", 30, 1.0).result[0]


def basic(scheduler, steps, denoise=1.0):
    def make(sampling):
        total = steps if denoise == 1 else int(steps / denoise)
        # As BasicScheduler cuts it, which needs a whole model.
        return schedule(sampling, scheduler, total)[-(steps + 1) :]

    return make


def split(at, which):
    return lambda sampling: custom.SplitSigmas.execute(schedule(sampling, "simple", 20), at).result[which]


@pytest.mark.parametrize(
    ("model", "make", "mode"),
    [
        ("flux", optimal, STEPS),
        ("flux", lambda _: sigmas_of(1.0, 0.8, 0.6, 0.4, 0.2, 0.1), STEPS),
        ("flux", lambda _: sigmas_of(1.0, 0.9, 0.75, 0.5), STEPS),
        ("sd", lambda _: sigmas_of(14.6, 6.0, 2.0, 0.7, 0.3), STEPS),
        # What Multiply Sigmas and lists by hand do to the beginning.
        ("flux", lambda sampling: schedule(sampling, "simple", 20) * 0.9, STEPS),
        ("wan", lambda _: sigmas_of(0.9, 0.6, 0.3, 0.0), STEPS),
        *(("sd", basic("ddim_uniform", steps), STEPS) for steps in (4, 15, 20, 30, 60)),
        ("sd", basic("normal", 10, 0.5), NOISE),
        ("flux", basic("simple", 20, 0.8), NOISE),
        # First parts: they end where another sampler goes on, early or late.
        *(("sd", split(at, 0), NOISE) for at in (1, 10, 16, 19)),
        *(("wan", split(at, 0), NOISE) for at in (10, 18)),
        ("wan", lambda _: sigmas_of(1.0, 0.95, 0.9), NOISE),
        ("sd", split(10, 1), NOISE),
    ],
)
def test_from_an_empty_latent(pack, model, make, mode):
    sampling = SAMPLINGS[model]
    found = counted(pack, sampling, EULER, make(sampling))
    assert found.mode == mode
    x = [moment.x for _, moment in found.evaluations]
    assert (x == [(i + 0.5) / len(x) for i in range(len(x))]) is (mode == STEPS)


@pytest.mark.parametrize("make", [optimal, basic("ddim_uniform", 4), basic("simple", 10, 0.6)])
def test_a_picture_in_the_latent_leaves_it_to_the_noise(pack, make):
    sampling = SAMPLINGS["flux"]
    mask = torch.ones(1, 1, 4, 4)
    assert counted(pack, sampling, EULER, make(sampling), latent=PICTURE).mode == NOISE
    mask[..., :2] = 0
    assert counted(pack, sampling, EULER, make(sampling), mask=mask).mode == NOISE
    assert counted(pack, sampling, EULER, schedule(sampling, "simple", 10), latent=PICTURE).mode == STEPS


def test_a_mask_that_keeps_nothing_is_none(pack):
    sampling = SAMPLINGS["flux"]
    assert counted(pack, sampling, EULER, optimal(sampling), mask=torch.ones(1, 1, 4, 4)).mode == STEPS


@pytest.mark.parametrize("latent", [torch.zeros(1, 4, 4, 4), PICTURE])
def test_unipc_writes_into_its_schedule(pack, latent):
    sampling = SAMPLINGS["flux"]
    uni_pc = comfy.samplers.sampler_object("uni_pc")
    assert counted(pack, sampling, uni_pc, schedule(sampling, "simple", 8), latent=latent).mode == STEPS


LIES = {
    "a little less": lambda n: 0.95,
    "more": lambda n: 1.05,
    "half": lambda n: 0.5,
    "in the middle": lambda n: 0.8 if 3 <= n < 9 else 1.0,
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", "uni_pc", "lms", "ddim", "heun", "dpmpp_sde", "dpm_2"])
@pytest.mark.parametrize("model", ["sd", "flux"])
def test_the_step_is_the_samplers_whatever_the_model_is_told(pack, model, name, lie):
    sampling = SAMPLINGS[model]
    sampler = comfy.samplers.sampler_object(name)
    for progress in (STEPS, NOISE):
        honest = counted(pack, sampling, sampler, schedule(sampling, "simple", 12), progress)
        told = lying(sampler, LIES[lie])
        found = counted(pack, sampling, told, schedule(sampling, "simple", 12), progress)
        assert found.steps == honest.steps
        assert len(set(found.steps)) == 12
        first = {}
        for _, moment in found.evaluations:
            first.setdefault(moment.step, moment.x)
        if progress == STEPS:
            assert [*first.values()] == [moment.x for moment in found.columns.moments]


def test_by_noise_level_a_lie_is_none_of_the_latents_noise(pack):
    sampling = SAMPLINGS["flux"]
    found = counted(pack, sampling, lying(EULER, lambda n: 0.7), schedule(sampling, "simple", 12), NOISE)
    assert [moment for _, moment in found.evaluations] == [*found.columns.moments]


@pytest.mark.parametrize("name", ["dpm_fast", "dpm_adaptive"])
def test_samplers_with_steps_of_their_own_go_by_their_noise(pack, name):
    sampling = SAMPLINGS["sd"]
    sampler = lying(comfy.samplers.sampler_object(name), lambda n: 0.95)
    found, by_noise = (
        counted(pack, sampling, sampler, schedule(sampling, "karras", 12), believed=believed)
        for believed in (True, False)
    )
    assert found == by_noise


def test_churn_restarts_and_flipped_lists(pack):
    sampling = SAMPLINGS["sd"]
    sigmas = schedule(sampling, "karras", 20)
    churning = comfy.samplers.KSAMPLER(k_diffusion.sample_euler, {"s_churn": 20.0})
    assert counted(pack, sampling, churning, sigmas).steps == list(range(20))
    again = torch.cat([sigmas[:12], sigmas[6:12], sigmas[6:]])
    for name in ("euler", "heun"):
        found = counted(pack, sampling, comfy.samplers.sampler_object(name), again)
        assert sorted(set(found.steps)) == list(range(len(again) - 1))
        assert found.steps == sorted(found.steps)
    flipped = custom.FlipSigmas.execute(sigmas).result[0]
    for progress in (STEPS, NOISE, "auto"):
        found = counted(pack, sampling, EULER, flipped, progress, latent=PICTURE)
        assert found.steps == list(range(20)) and found.mode == (STEPS if progress == STEPS else NOISE)


def test_the_log_and_the_map_of_sigmas_say_which_way_was_counted(pack, sd15, caplog):
    with caplog.at_level("INFO", "klora"):
        part(pack, "nodes.host").announce(None, NOISE, part(pack, "klora_core.progress").in_steps(4))
    assert "a run of 4 step(s), progress counted by noise level" in caplog.text
    plan = fuse(pack, sd15.model, *unet_pair(sd15.model.model)).plan
    sigmas = custom.BasicScheduler.execute(sd15.model, "simple", 20, 1.0).result[0]
    half = custom.SplitSigmas.execute(sigmas, 10).result
    late = custom.BasicScheduler.execute(sd15.model, "simple", 10, 0.5).result[0]
    for some, mode in (
        (sigmas, STEPS),
        (sigmas[:-1].clone(), STEPS),
        (half[0], NOISE),
        (half[1], NOISE),
        (late, NOISE),
    ):
        said = part(pack, "nodes").KLoRASelectionMap.execute(plan, 30, some).result[1]
        assert f"in this run: {mode}" in said


DAEMON, LYING, MULTIPLY = "DetailDaemonSamplerNode", "LyingSigmaSampler", "MultiplySigmas"
SETTINGS = {
    **{"detail_amount": 0.5, "start": 0.1, "end": 0.9, "bias": 0.5, "exponent": 1.0, "start_offset": 0.0},
    **{"end_offset": 0.0, "fade": 0.0, "smooth": True, "cfg_scale_override": 0},
}


@pytest.fixture(scope="module")
def daemon():
    """Node classes of ComfyUI-Detail-Daemon, where KLORA_OTHER_PACKS names a folder with a checkout of it."""
    for folder in other_packs.folders():
        if not (folder / "detail_daemon_node.py").is_file():
            continue
        name = "pack_with_detail_daemon"
        spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.NODE_CLASS_MAPPINGS
    pytest.skip(f"{other_packs.NAMED_IN} names no folder with Detail Daemon")


@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", "heun", "uni_pc", "dpmpp_sde"])
@pytest.mark.parametrize("model", SAMPLINGS)
def test_with_detail_daemon_the_step_is_the_samplers(pack, daemon, model, name):
    sampling, plain = SAMPLINGS[model], comfy.samplers.sampler_object(name)
    told = [
        daemon[DAEMON].go(plain, **SETTINGS)[0],
        *(daemon[LYING].go(plain, factor)[0] for factor in (-0.05, 0.05, -0.4)),
    ]
    for progress in ("auto", "noise level"):
        honest = counted(pack, sampling, plain, schedule(sampling, "simple", 20), progress)
        for sampler in told:
            found = counted(pack, sampling, sampler, schedule(sampling, "simple", 20), progress)
            assert found.steps == honest.steps and found.mode == honest.mode
            assert [sigma for sigma, _ in found.evaluations] != [sigma for sigma, _ in honest.evaluations]


def test_a_multiplied_list_is_a_whole_run(pack, daemon):
    sampling, euler = SAMPLINGS["flux"], comfy.samplers.sampler_object("euler")
    (sigmas,) = daemon[MULTIPLY]().simple_output(schedule(sampling, "simple", 20), 0.95, 0, 1)
    assert counted(pack, sampling, euler, sigmas).mode == "steps"
