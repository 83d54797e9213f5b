"""torch.compile before and after Fuse: right latents, and no recompilation at switches or between runs."""

from __future__ import annotations

import comfy.model_management
import comfy.sd
import pytest
import torch
from comfy_api.torch_helpers import set_torch_compile_wrapper

from klora_core.progress import in_steps
from tests.support.host.nodes import fuse, relative
from tests.support.host.reference import random_lora
from tools.tiny import models
from tools.tiny.architectures import FLUX_DIT

STAR = {"schedule": "s*", "alpha": 1.5, "beta": 1.3}  # switches much
WIDE = ("double_blocks", "single_blocks")


_FREE = 1 << 33


def _as_much_as_ever(dev=None, torch_free_too=False):
    return (_FREE, _FREE) if torch_free_too else _FREE


@pytest.fixture
def graphs(monkeypatch):
    """A backend that counts the graphs it gets and runs them as they are."""
    # The host's attention on a CPU asks for the free memory: it ends up in guards, and changes all the time.
    monkeypatch.setattr(comfy.model_management, "get_free_memory", _as_much_as_ever)
    torch._dynamo.reset()
    seen = []

    def backend(module, example_inputs):
        seen.append(module)
        return module.forward

    yield seen, lambda model: _compiled(model, backend)
    torch._dynamo.reset()


def _compiled(model, backend):
    clone = model.clone()
    set_torch_compile_wrapper(model=clone, backend=backend)
    return clone


@pytest.fixture(scope="module")
def _flux():
    """A block of each kind, and one more: tracing takes its time for each."""
    weights = models.flux(FLUX_DIT | {"depth": 1, "depth_single_blocks": 2})
    with torch.inference_mode():
        return comfy.sd.load_diffusion_model_state_dict(weights)


@pytest.fixture
def pair(flux_model):
    model = flux_model.model
    layers = [
        name.removeprefix("diffusion_model.")
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.split(".")[1] in WIDE
    ]
    return tuple(random_lora(model, layers, rank, seed, scale=0.1) for rank, seed in ((6, 7), (4, 8)))


@pytest.mark.parametrize("order", ["fuse, then compile", "compile, then fuse"])
def test_one_compilation(pack, flux_model, flux_conds, pair, sample, graphs, order):
    seen, compiled = graphs

    def run(model):
        return sample(model, *flux_conds, steps=4, cfg=1.0, scheduler="simple")

    fused = fuse(pack, flux_model, *pair, schedule=STAR)
    choices = fused.plan.choices(in_steps(4))[0]
    assert (choices[:, 1:] != choices[:, :-1]).sum() > 5
    base, expected = run(flux_model), run(fused.model)
    run(compiled(flux_model))
    bare = len(seen)
    torch._dynamo.reset()
    both = (
        compiled(fused.model)
        if order.startswith("fuse")
        else fuse(pack, compiled(flux_model), *pair, schedule=STAR).model
    )
    seen.clear()
    assert relative(run(both), expected) < 1e-5
    assert len(seen) <= bare, "the side path needs graphs of its own, at switches or between them"
    seen.clear()
    assert relative(run(both), expected) < 1e-5
    assert not seen, "recompiled in a later run"
    assert torch.equal(run(compiled(flux_model)), base), "the side path stays in the compiled base model"
    assert relative(run(both), expected) < 1e-5, "the base model's graph is taken for the fused one"


def test_compiled_base_model_first(pack, flux_model, flux_conds, pair, sample, graphs):
    _, compiled = graphs

    def run(model):
        return sample(model, *flux_conds, steps=3, cfg=1.0, scheduler="simple")

    base = run(compiled(flux_model))
    expected = run(fuse(pack, flux_model, *pair, schedule=STAR).model)
    assert relative(base, expected) > 1e-2
    assert relative(run(compiled(fuse(pack, flux_model, *pair, schedule=STAR).model)), expected) < 1e-5
