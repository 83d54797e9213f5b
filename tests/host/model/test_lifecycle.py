"""Runs do not know of each other, and nothing is left behind on the model."""

from __future__ import annotations

import gc

import comfy.model_management
import comfy.samplers
import pytest
import torch

from klora_core.progress import in_steps
from tests.support.host.nodes import fuse, part


def hooks_on(model) -> int:
    return sum(len(module._forward_hooks) for module in model.model.modules())


@pytest.fixture
def fresh(pack, sd15, sd15_conds, pair, sample):
    """Latents of a Fuse that was never run before, for given sampler settings."""
    return lambda **settings: sample(fuse(pack, sd15.model, *pair).model, *sd15_conds, **settings)


def test_back_to_back_runs_of_different_lengths(pack, sd15, sd15_conds, pair, sample, fresh):
    fused = fuse(pack, sd15.model, *pair).model
    first = fresh(steps=5)
    assert torch.equal(sample(fused, *sd15_conds, steps=5), first)
    for settings in ({"steps": 2}, {"steps": 3, "sampler_name": "heun"}):
        assert torch.equal(sample(fused, *sd15_conds, **settings), fresh(**settings)), settings
    assert torch.equal(sample(fused, *sd15_conds, steps=5), first)


@pytest.mark.parametrize("error", [comfy.model_management.InterruptProcessingException, RuntimeError])
def test_a_run_after_one_that_was_broken_off(pack, sd15, sd15_conds, pair, sample, fresh, error):
    fused = fuse(pack, sd15.model, *pair).model

    def stop(step, *_):
        if step == 2:
            raise error

    with pytest.raises(error):
        sample(fused, *sd15_conds, steps=5, callback=stop)
    assert hooks_on(fused) == 0
    assert torch.equal(sample(fused, *sd15_conds, steps=3), fresh(steps=3))


def test_a_switch_that_was_broken_off_half_way(pack, sd15, sd15_conds, pair, sample, fresh, monkeypatch):
    fused = fuse(pack, sd15.model, *pair).model
    buffers = part(pack, "klora_core.apply.buffers")
    fill, calls = buffers.fill, []

    def breaking(*args, **kwargs):
        calls.append(args)
        if len(calls) == 41:
            raise RuntimeError
        fill(*args, **kwargs)

    monkeypatch.setattr(buffers, "fill", breaking)
    with pytest.raises(RuntimeError):
        sample(fused, *sd15_conds, steps=5)
    monkeypatch.undo()
    assert torch.equal(sample(fused, *sd15_conds, steps=5), fresh(steps=5))


def test_the_base_model_is_untouched(pack, sd15, sd15_conds, pair, sample):
    before = sample(sd15.model, *sd15_conds)
    weights = {k: v.clone() for k, v in sd15.model.model.state_dict().items()}
    fused = fuse(pack, sd15.model, *pair).model
    changed = sample(fused, *sd15_conds)
    assert hooks_on(sd15.model) == 0
    assert all(torch.equal(v, weights[k]) for k, v in sd15.model.model.state_dict().items())
    assert not torch.equal(changed, before)
    assert torch.equal(sample(sd15.model, *sd15_conds), before)


def test_strength_zero_is_the_base_model(pack, sd15, sd15_conds, pair, sample):
    fused = fuse(pack, sd15.model, *pair, subject_strength=0.0, style_strength=0.0)
    assert torch.equal(sample(fused.model, *sd15_conds), sample(sd15.model, *sd15_conds))


def test_hooks_act_in_their_own_model_calls_alone(pack, sd15, sd15_conds, pair, sample):
    """A guider that mixes the fused with the bare model over the same weights gets both, unmixed."""
    fused, base = fuse(pack, sd15.model, *pair).model, sd15.model
    seen = {}

    class Probe(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options=None, seed=None):
            if "bare" not in seen:
                cond = self.conds["positive"]
                seen["fused"] = comfy.samplers.calc_cond_batch(
                    self.inner_model, [cond], x, timestep, model_options
                )
                seen["bare"] = comfy.samplers.calc_cond_batch(self.inner_model, [cond], x, timestep, {})
            return super().predict_noise(x, timestep, model_options or {}, seed)

    class Plain(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options=None, seed=None):
            if "base" not in seen:
                cond = self.conds["positive"]
                seen["base"] = comfy.samplers.calc_cond_batch(self.inner_model, [cond], x, timestep, {})
            return super().predict_noise(x, timestep, model_options or {}, seed)

    for guider_class, model in ((Probe, fused), (Plain, base)):
        guider = guider_class(model)
        guider.set_conds(*sd15_conds)
        noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 2)
        sampler = comfy.samplers.sampler_object("euler")
        guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True, seed=0)
    assert torch.equal(seen["bare"][0], seen["base"][0])
    assert not torch.equal(seen["fused"][0], seen["bare"][0])


def test_a_clone_that_dies_during_the_run(pack, sd15, sd15_conds, pair, sample, fresh):
    fused = fuse(pack, sd15.model, *pair).model
    clones = [fused.clone()]

    def drop(step, *_):
        # Made while the model is in use, so that it carries the state of a running patcher.
        clones.append(fused.clone())
        clones.clear()
        gc.collect()

    assert torch.equal(sample(fused, *sd15_conds, steps=4, callback=drop), fresh(steps=4))


def test_a_clone_made_during_a_run_works_after_it(pack, sd15, sd15_conds, pair, sample, fresh):
    fused = fuse(pack, sd15.model, *pair).model
    clones = []
    sample(fused, *sd15_conds, steps=3, callback=lambda *_: clones.append(fused.clone()))
    gc.collect()
    assert torch.equal(sample(clones[1], *sd15_conds, steps=3), fresh(steps=3))


def test_the_host_loses_no_buffers_when_a_dial_is_turned(pack, sd15, sd15_conds, pair, sample, fresh, caplog):
    """Two balances beside each other, the one that ran last goes: its buffers are still the other's."""
    # The host tells of what tests before have left in its books, too.
    books = comfy.model_management.current_loaded_models
    books[:] = [each for each in books if not each.is_dead()]
    stays = fuse(pack, sd15.model, *pair).model
    sample(stays, *sd15_conds, steps=2)
    sample(fuse(pack, sd15.model, *pair, balance=0.3).model, *sd15_conds, steps=2)
    with caplog.at_level("INFO"):
        found = sample(stays, *sd15_conds, steps=2)
    assert "memory leak" not in caplog.text
    assert torch.equal(found, fresh(steps=2))
    count = len(comfy.model_management.current_loaded_models)
    del stays
    assert len(comfy.model_management.current_loaded_models) == count - 1, "gone with the last of them"


def test_removing_one_of_two_fuses_leaves_the_other(pack, sd15, sd15_conds, pair, sample, fresh):
    first = fuse(pack, sd15.model, *pair).model
    second = fuse(pack, first, *reversed(pair)).model
    stacked, alone = sample(second, *sd15_conds), fresh()
    assert not torch.equal(stacked, alone)
    assert torch.equal(sample(first, *sd15_conds), alone)
    assert torch.equal(sample(second, *sd15_conds), stacked)


def test_coexists_with_cores_bypass_loader(pack, sd15, sd15_conds, pair, sample):
    """Core's bypass swaps module.forward; hooks go round it, whichever was put on first."""
    import comfy.sd

    extra = {k: v * 0.5 for k, v in pair[1].items()}
    bypass = comfy.sd.load_bypass_lora_for_models(sd15.model, None, extra, 1.0, 0)[0]
    inside = sample(fuse(pack, bypass, *pair).model, *sd15_conds)
    fused = fuse(pack, sd15.model, *pair).model
    outside = sample(comfy.sd.load_bypass_lora_for_models(fused, None, extra, 1.0, 0)[0], *sd15_conds)
    assert torch.equal(inside, outside)
    assert not torch.equal(inside, sample(fused, *sd15_conds))


def test_work_is_done_at_switches_alone(pack, sd15, sd15_conds, pair, sample, monkeypatch):
    """Buffers are written once per slot and flip, and progress is read once per evaluation."""
    fused = fuse(pack, sd15.model, *pair)
    buffers, clock = part(pack, "klora_core.apply.buffers"), part(pack, "klora_core.apply.clock").Clock
    shown, reads = [], []
    show, read = buffers.Buffers.show, clock.sigmas_of

    def count_show(self, target, who):
        if self.states[target].whole != who:
            shown.append(target)
        show(self, target, who)

    monkeypatch.setattr(buffers.Buffers, "show", count_show)
    monkeypatch.setattr(clock, "sigmas_of", lambda *args: reads.append(args) or read(*args))
    monkeypatch.setattr(type(sd15.model.model), "memory_required", lambda *a, **k: 1e30)
    steps = 8
    sample(fused.model, *sd15_conds, steps=steps)
    choices = fused.plan.choices(in_steps(steps))[0]
    flips = int((choices[:, 1:] != choices[:, :-1]).sum())
    alone = sum(len(lora.alone) for lora in fused.plan.loras)
    assert flips > 5
    assert len(shown) == len(fused.plan.slots) + alone + flips
    assert len(reads) == steps, "cond and uncond run apart here, and share one reading"
