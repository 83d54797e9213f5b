"""The host's samplers on a model that costs nothing: what each evaluation is told, and how it is counted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import comfy.model_sampling
import comfy.samplers
import torch

from tests.support.host.nodes import part


class _SD(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    pass


class _Flow(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
    pass


class _Flux(comfy.model_sampling.ModelSamplingFlux, comfy.model_sampling.CONST):
    pass


def _shifted(shift: float) -> Any:
    sampling = _Flow()
    sampling.set_parameters(shift=shift)
    return sampling


# SD's, FLUX's, Wan's.
SAMPLINGS = {"sd": _SD(), "flux": _Flux(), "wan": _shifted(8.0)}


@functools.cache
def _levels(noise_levels: Callable[..., Any], sampling: Any) -> Any:
    return noise_levels(sampling.percent_to_sigma)


class Counted(NamedTuple):
    """Of a run: (sigma the model was told, moment) by evaluation, how progress was counted, its columns."""

    evaluations: list
    mode: str
    columns: Any

    @property
    def steps(self) -> list[int]:
        return [moment.step for _, moment in self.evaluations]


def counted(
    pack, sampling, sampler, sigmas, progress="auto", latent=None, mask=None, believed=True
) -> Counted:
    """A run of ``sampler`` over ``sigmas``, through what the pack reads off the host's call of it.

    ``believed``: whether the sampler's reports are heard at all.
    """
    asked, clocks = part(pack, "nodes.model.asked"), part(pack, "klora_core.apply")
    progresses = part(pack, "klora_core.progress")
    levels = _levels(progresses.noise_levels, sampling)
    torch.manual_seed(1)
    noise = torch.randn(1, 4, 4, 4)
    latent = torch.zeros_like(noise) if latent is None else latent
    run = asked.asked((noise, latent, sampler, sigmas, mask, None), {})
    evaluations, heard, clock = [], [], None

    def reported(index):
        if clock is not None and believed:
            clock.report(index)

    class Model:
        inner_model = SimpleNamespace(
            model_sampling=sampling, scale_latent_inpaint=lambda latent_image, **rest: latent_image
        )
        model_patcher = SimpleNamespace(get_model_object=lambda name: sampling, model=None)
        cfg = 1.0

        def __call__(self, x, sigma, model_options, seed=None, **rest):
            nonlocal clock
            if clock is None:
                clock = clocks.Clock(
                    progresses.Progress(progress), lambda: levels, lambda *told: heard.append(told), run
                )
            else:
                clock.tick()
            evaluations.append((float(sigma[0]), clock.read(sigma, sigmas)))
            denoised = x * 0.1
            for after in model_options.get("sampler_post_cfg_function", []):
                denoised = after({"denoised": denoised, "uncond_denoised": denoised})
            return denoised

    _, with_callback = asked.with_callback((), {"callback": None}, reported)
    sampler.sample(
        Model(),
        sigmas,
        {"model_options": {}, "seed": 1},
        with_callback["callback"],
        noise,
        latent,
        mask,
        True,
    )
    ((mode, columns),) = heard
    return Counted(evaluations, mode, columns)


def schedule(sampling, scheduler, steps):
    """The sigmas that the host's KSampler makes at full denoise."""
    return comfy.samplers.calculate_sigmas(sampling, scheduler, steps)


def lying(sampler, factor):
    """A sampler that tells the model ``factor(n)`` times the noise in its n-th evaluation."""

    def sample(model, x, sigmas, wrapped, **rest):
        count = 0

        def told(x, sigma, **more):
            nonlocal count
            count += 1
            return model(x, sigma * factor(count - 1), **more)

        told.inner_model = model.inner_model
        return wrapped.sampler_function(told, x, sigmas, **rest, **wrapped.extra_options)

    return comfy.samplers.KSAMPLER(sample, {"wrapped": sampler})
