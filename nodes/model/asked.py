"""What the host asks of a sampler run: read off the call that a wrapper of OUTER_SAMPLE is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch

from ...klora_core.apply import Run
from ...klora_core.progress import NOTHING_KNOWN, Scope

_ARGUMENTS = ("noise", "latent_image", "sampler", "sigmas", "denoise_mask", "callback")
# Core's samplers that take no list of sigmas but its ends: what they report are steps of their own.
_OWN_STEPS = ("dpm_fast_function", "dpm_adaptive_function")


def asked(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Run:
    """What a run is told to do, by the arguments of ``CFGGuider.outer_sample``."""
    noise, latent, sampler, sigmas, mask, _ = (_argument(name, args, kwargs) for name in _ARGUMENTS)
    if not isinstance(sigmas, torch.Tensor) or sigmas.ndim != 1:
        return Run()
    before, after = cut_of(sigmas)
    scope = Scope(_is_empty(noise, latent, mask), before, after)
    return Run(tuple(sigmas.tolist()), scope, not _has_own_steps(sampler))


def with_callback(args: tuple, kwargs: dict[str, Any], report: Callable[[int], None]) -> tuple[tuple, dict]:
    """The same arguments, with a callback that tells ``report`` of each step first."""
    theirs = _argument("callback", args, kwargs)

    def callback(step: Any, *rest: Any, **more: Any) -> Any:
        if isinstance(step, Integral):
            report(int(step))
        return None if theirs is None else theirs(step, *rest, **more)

    at = _ARGUMENTS.index("callback")
    if len(args) > at:
        return (*args[:at], callback, *args[at + 1 :]), kwargs
    return args, {**kwargs, "callback": callback}


def cut_of(sigmas: torch.Tensor) -> tuple[bool, bool]:
    """Whether ``sigmas`` are a piece of a longer list, with others before and after them.

    The host cuts its lists by slices (KSampler's denoise below 1, KSampler (Advanced)'s start and end step,
    Split Sigmas), and a slice of a tensor is a window on all of it.
    """
    if sigmas.numel() < 2 or sigmas.stride(0) != 1:
        return False, False
    whole = sigmas.untyped_storage().nbytes() // sigmas.element_size()
    start = sigmas.storage_offset()
    return start > 0, start + sigmas.numel() < whole


def supposed(sigmas: torch.Tensor) -> Scope:
    """What is supposed of a run of which only the sigmas are known: an empty latent, if it starts early."""
    before, after = cut_of(sigmas)
    return NOTHING_KNOWN if before else Scope(True, True, after)


def _argument(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    at = _ARGUMENTS.index(name)
    return args[at] if len(args) > at else kwargs.get(name)


def _is_empty(noise: Any, latent: Any, mask: Any) -> bool:
    """Whether nothing is there but noise: no picture in the latent, none kept by a mask, and noise at all."""
    if not isinstance(latent, torch.Tensor) or not isinstance(noise, torch.Tensor):
        return False
    kept = mask is not None and not bool((mask >= 1).all())
    return not kept and not bool(latent.any()) and bool(noise.any())


def _has_own_steps(sampler: Any) -> bool:
    """Whether a sampler, or one that it wraps, goes its own steps."""
    if getattr(getattr(sampler, "sampler_function", None), "__name__", "") in _OWN_STEPS:
        return True
    options = getattr(sampler, "extra_options", None)
    inside = options.values() if isinstance(options, Mapping) else ()
    return any(_has_own_steps(one) for one in inside if hasattr(one, "sampler_function"))
