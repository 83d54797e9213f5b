"""Models that do not fit: the host moves weights during a run. Needs the host."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest.mock import patch

import comfy.memory_management
import comfy.model_management
import comfy.model_patcher
import torch

from ...host.contenders import fused, run
from ...host.models import Case, build
from ...host.probes import Stopwatch
from ..rows import FAILED, OK, SKIPPED, Row, same_latents
from . import cases

_MIB = 1 << 20
# What the host wants to keep free for the work itself, and a margin.
_WORK = 2 << 30
_SIDE = 64
# Of the weights, that is to find a place.
_SHARE = 0.5

Wrap = Callable[[Any], Any]
"""Full patcher of a model -> the patcher that is to be looked at."""


@dataclass
class _Ran:
    latents: torch.Tensor
    seconds: float
    loaded: float
    peak: float
    """MiB of the device, of everything in this process and others, less the ballast."""


def low_vram(rehearse: bool) -> Iterator[Row]:
    """Half of the weights stay where they are kept and come over for each evaluation."""
    yield from _rows(rehearse, lambda patcher: _elsewhere(patcher, comfy.model_patcher.ModelPatcher))


def dynamic_vram(rehearse: bool) -> Iterator[Row]:
    """The host's own manager of pages, which it uses by default on NVIDIA."""

    def wrap(patcher: Any) -> Any:
        # Only now: from here on the host makes layers without weights, for files to fill.
        if not rehearse and not _enable_dynamic():
            raise _NotHere("comfy-aimdo, the host's manager, does not start here")
        return _elsewhere(patcher, comfy.model_patcher.ModelPatcherDynamic)

    if rehearse:
        yield Row("Dynamic VRAM", "the host's ordinary patcher on a CPU", "", SKIPPED)
    try:
        yield from _rows(rehearse, wrap)
    except _NotHere as why:
        yield Row("Dynamic VRAM", str(why), "", SKIPPED)


class _NotHere(Exception):
    """This host can't do what was to be looked at."""


def _rows(rehearse: bool, wrap: Wrap) -> Iterator[Row]:
    case = cases.small(cases.sdxl(rehearse), _SIDE)
    full = _both(case, lambda patcher: patcher, None)
    bare, ours = _both(case, wrap, rehearse)
    yield Row(
        "Share of the weights on the device",
        f"{bare.loaded:.0%} bare, {ours.loaded:.0%} with Fuse",
        "neither all nor nothing",
        OK if all(0.02 < ran.loaded < 0.98 for ran in (bare, ours)) else FAILED,
    )
    effect = cases.relative(full[1].latents, full[0].latents)
    distances = [cases.relative(a.latents, b.latents) for a, b in zip((ours, bare), full[::-1], strict=True)]
    yield same_latents("Latents against those of the full load", *distances, effect)
    yield Row(
        "Step time, K-LoRA Fuse / bare model", f"{ours.seconds / bare.seconds:.3f} ({ours.seconds:.3f} s)"
    )
    yield Row(
        "Step time with everything loaded",
        f"{full[1].seconds / full[0].seconds:.3f} ({full[1].seconds:.3f} s)",
    )
    if not rehearse:
        peaks = [f"{ran.peak:.0f} MiB" for ran in (bare, ours, *full)]
        yield Row("Peak of the device", "bare {}, with Fuse {}; full load {} and {}".format(*peaks))


def _both(case: Case, wrap: Wrap, crowd: bool | None) -> tuple[_Ran, _Ran]:
    """The bare and the fused model of equal weights; ``crowd``: None for free memory, else rehearsal."""
    model = wrap(build(case))
    watch = Stopwatch(model)
    size = model.model_size()
    with ExitStack() as stack:
        ballast = 0 if crowd is None else stack.enter_context(_crowded(model, int(_SHARE * size), crowd))
        bare = _run(case, model, watch, ballast)
        ours = _run(case, fused(model, *cases.pair(model, case)), watch, ballast)
    comfy.model_management.unload_all_models()
    del model
    gc.collect()
    comfy.model_management.soft_empty_cache()
    return bare, ours


def _run(case: Case, model: Any, watch: Stopwatch, ballast: int) -> _Ran:
    run(case, model, case.evaluations)
    watch.times.clear()
    latents = run(case, model, case.evaluations)
    seconds = median(watch.times)
    with _peak() as peak:
        run(case, model, case.evaluations)
    loaded = model.loaded_size() / model.model_size()
    return _Ran(latents, seconds, loaded, (peak[0] - ballast) / _MIB)


@contextmanager
def _peak() -> Iterator[list[int]]:
    """[bytes in use at the worst moment], by the device: asked at the end of every layer's work."""
    most = [0]
    if not torch.cuda.is_available():
        yield most
        return

    def look(*_: Any) -> None:
        free, total = torch.cuda.mem_get_info()
        most[0] = max(most[0], total - free)

    handle = torch.nn.modules.module.register_module_forward_hook(look)
    try:
        yield most
    finally:
        handle.remove()


@contextmanager
def _crowded(model: Any, weights: int, rehearse: bool) -> Iterator[int]:
    """Room for ``weights`` bytes of weights and the work; the size of what takes the rest away."""
    manager = comfy.model_management
    manager.unload_all_models()
    manager.soft_empty_cache()
    if rehearse:
        room = weights + int(manager.minimum_inference_memory())

        def free(dev: Any = None, torch_free_too: bool = False) -> Any:
            left = room - int(model.loaded_size())
            return (left, left) if torch_free_too else left

        with (
            patch.object(manager, "is_device_cpu", lambda device: False),
            patch.object(manager, "vram_state", manager.VRAMState.NORMAL_VRAM),
            patch.object(manager, "MIN_WEIGHT_MEMORY_RATIO", 0.0),
            patch.object(manager, "get_free_memory", free),
        ):
            yield 0
        return
    size = max(0, torch.cuda.mem_get_info()[0] - weights - _WORK)
    ballast = torch.empty(size, dtype=torch.uint8, device=model.load_device)
    yield size
    del ballast


def _elsewhere(patcher: Any, kind: Any) -> Any:
    """A patcher of ``kind`` for the same model, whose weights lie in the host's memory."""
    comfy.model_management.unload_all_models()
    model = patcher.model.to("cpu")
    return kind(model, load_device=patcher.load_device, offload_device=torch.device("cpu"))


def _enable_dynamic() -> bool:
    """What the host's main.py does where its manager works; the models here are built before."""
    try:
        import comfy_aimdo.control
    except ImportError:
        return False
    devices = comfy.model_management.get_all_torch_devices()
    if not comfy_aimdo.control.init_devices(device.index for device in devices):
        return False
    comfy.model_patcher.CoreModelPatcher = comfy.model_patcher.ModelPatcherDynamic
    comfy.memory_management.aimdo_enabled = True
    return True
