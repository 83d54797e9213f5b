"""Methods of whole LoRAs against core's own hook graphs, and what their passes cost, in float32."""

from __future__ import annotations

import math

import comfy.hooks
import comfy.samplers
import pytest
import torch

from tests.support.host.nodes import UNET_LAYERS, baked, compose, lora_set, part, relative
from tests.support.host.reference import random_lora

TOLERANCE = 1e-5
ROLES = ("subject", "style", "style")
_BLOCK = "transformer_blocks.0.attn"


@pytest.fixture(scope="module")
def loras(_sd15):
    """Three LoRAs of which each lacks a layer that another has."""
    model = _sd15.model.model
    return [random_lora(model, UNET_LAYERS[i : len(UNET_LAYERS) - 2 + i], 3 + i, 60 + i) for i in range(3)]


def a_set(pack, loras, strength=0.8):
    return lora_set(pack, *((lora, role, strength) for lora, role in zip(loras, ROLES, strict=False)))


def run(sample, model, conds, **options):
    settings = {"steps": 4, "scheduler": "normal", **options}
    return sample(model, conds[0], conds[1], **settings)


def hooked(conds, groups):
    """Both conditionings once for each hook group, as PairConditioningSetProperties and -Combine do."""
    return tuple(
        [c for group in groups for c in comfy.hooks.set_conds_props([cond], 1.0, "default", hooks=group)[0]]
        for cond in conds
    )


def lora_hook(lora, strength=0.8):
    return comfy.hooks.create_hook_lora(lora, strength, 0.0)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("cfg", "sampler"), [(4.0, "euler"), (1.0, "euler"), (4.0, "heun"), (4.0, "dpm_2")])
def test_composite_equals_core_s_combined_conditionings(
    pack, sd15, sd15_conds, loras, sample, count, cfg, sampler
):
    options = {"cfg": cfg, "sampler_name": sampler, "steps": 3}
    found = run(
        sample,
        compose(pack, sd15.model, a_set(pack, loras[:count]), "LoRA Composite").model,
        sd15_conds,
        **options,
    )
    graph = hooked(sd15_conds, [lora_hook(lora) for lora in loras[:count]])
    expected = run(sample, sd15.model, graph, **options)
    assert relative(run(sample, sd15.model, sd15_conds, **options), expected) > 1e-2
    assert relative(found, expected) < TOLERANCE


def keyframes(model, turns, scheduler, lora, strength=0.8):
    """A hook that is at work where ``turns`` (one bool a step) say so."""
    sampling = model.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, scheduler, len(turns)).tolist()
    group = comfy.hooks.HookKeyframeGroup()
    group.add(comfy.hooks.HookKeyframe(float(turns[0]), 0.0))
    for step in range(1, len(turns)):
        if turns[step] != turns[step - 1]:
            between = math.sqrt(sigmas[step] * sigmas[step - 1])
            group.add(comfy.hooks.HookKeyframe(float(turns[step]), percent(sampling, between)))
    hook = lora_hook(lora, strength)
    hook.set_keyframes_on_hooks(group)
    return hook


def percent(sampling, sigma):
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(sampling.percent_to_sigma(middle)) > sigma else (low, middle)
    return high


@pytest.mark.parametrize(
    ("order", "expected", "steps"),
    [("paper", "001122001122", 12), ("code", "000112200112", 12), ("code", "00011", 5)],
)
def test_switch_equals_core_s_hooks_with_keyframes(
    pack, sd15, sd15_conds, loras, sample, order, expected, steps
):
    method = {"method": "LoRA Switch", "turn": {"turn": "steps", "tau": 2}, "order": order}
    found = run(sample, compose(pack, sd15.model, a_set(pack, loras), method).model, sd15_conds, steps=steps)
    groups = [
        keyframes(sd15.model, [letter == str(i) for letter in expected], "normal", lora)
        for i, lora in enumerate(loras)
    ]
    together = comfy.hooks.HookGroup.combine_all_hooks(groups)
    wanted = run(sample, sd15.model, hooked(sd15_conds, [together]), steps=steps)
    assert relative(run(sample, sd15.model, sd15_conds, steps=steps), wanted) > 1e-2
    assert relative(found, wanted) < TOLERANCE


def test_a_turn_longer_than_the_run_is_the_first_lora_alone(pack, sd15, sd15_conds, loras, sample):
    """Bit for bit where the ranks are equal; where they differ the buffers' padding moves a rounding."""
    method = {"method": "LoRA Switch", "turn": {"turn": "steps", "tau": 4}, "order": "paper"}
    alone = run(sample, compose(pack, sd15.model, a_set(pack, loras[:1]), "LoRA Switch").model, sd15_conds)
    same_rank = random_lora(sd15.model.model, UNET_LAYERS[2:], 3, 69)
    found = compose(pack, sd15.model, a_set(pack, [loras[0], same_rank]), method).model
    assert torch.equal(run(sample, found, sd15_conds), alone)
    found = compose(pack, sd15.model, a_set(pack, loras), method).model
    assert relative(run(sample, found, sd15_conds), alone) < TOLERANCE
    core = run(sample, baked(sd15.model, loras[0], 0.8), sd15_conds)
    assert relative(alone, core) < TOLERANCE


class Counted:
    """The batch sizes of the network's calls."""

    def __init__(self, model, monkeypatch):
        self.sizes = []
        network = model.model.diffusion_model
        inner = network.forward

        def forward(x, *args, **kwargs):
            self.sizes.append(len(x))
            return inner(x, *args, **kwargs)

        monkeypatch.setattr(network, "forward", forward)


@pytest.mark.parametrize(
    ("method", "passes"), [("K-LoRA", 1), ("LoRA Switch", 1), ("LoRA Composite", 3), ("CMLoRA", 3)]
)
@pytest.mark.parametrize(("sampler", "calls"), [("euler", 3), ("heun", 5), ("dpmpp_2m", 3)])
def test_exactly_n_model_calls_an_evaluation(
    pack, sd15, sd15_conds, loras, sample, monkeypatch, method, passes, sampler, calls
):
    counted = Counted(sd15.model, monkeypatch)
    model = compose(pack, sd15.model, a_set(pack, loras), method).model
    for cfg, batch in ((4.0, 2), (1.0, 1)):
        counted.sizes.clear()
        run(sample, model, sd15_conds, steps=3, cfg=cfg, sampler_name=sampler)
        assert counted.sizes == [batch] * (passes * calls), "cond and uncond go together"


def test_passes_hold_one_set_of_buffers(pack, sd15, loras):
    sizes = {}
    for name in ("LoRA Switch", "LoRA Composite", "CMLoRA"):
        (buffers,) = compose(pack, sd15.model, a_set(pack, loras), name).model.get_additional_models()
        sizes[name] = buffers.model_size()
    largest = max(sum(v.numel() * v.element_size() for v in lora.values()) for lora in loras)
    assert len(set(sizes.values())) == 1
    assert sizes["LoRA Composite"] < 1.2 * largest, "of the largest LoRA, not of three"


def test_equal_loras_equal_one(pack, sd15, sd15_conds, loras, sample):
    one = run(sample, compose(pack, sd15.model, a_set(pack, loras[:1]), "LoRA Switch").model, sd15_conds)
    for name in ("LoRA Switch", "LoRA Composite", "CMLoRA"):
        found = compose(pack, sd15.model, a_set(pack, loras[:1] * 3), name)
        assert relative(run(sample, found.model, sd15_conds), one) < TOLERANCE
        assert "are the same LoRA" in found.report


def test_the_order_of_loras_in_composite_does_not_matter(pack, sd15, sd15_conds, loras, sample):
    first, again = (
        run(sample, compose(pack, sd15.model, a_set(pack, given), "LoRA Composite").model, sd15_conds)
        for given in (loras, loras[::-1])
    )
    assert relative(first, again) < TOLERANCE


@pytest.mark.parametrize("method", ["LoRA Switch", "LoRA Composite", "CMLoRA"])
def test_zero_strengths_and_a_zero_lora(pack, sd15, sd15_conds, loras, sample, method):
    base = run(sample, sd15.model, sd15_conds)
    off = compose(pack, sd15.model, a_set(pack, loras, 0.0), method).model
    assert torch.equal(run(sample, off, sd15_conds), base)
    nothing = {k: torch.zeros_like(v) if "lora_B" in k else v for k, v in loras[1].items()}
    with_zero = compose(pack, sd15.model, a_set(pack, [loras[0], nothing]), method).model
    with_none = compose(
        pack, sd15.model, lora_set(pack, (loras[0], "subject", 0.8), (loras[1], "style", 0.0)), method
    ).model
    found = run(sample, with_zero, sd15_conds)
    assert found.isfinite().all()
    assert relative(found, run(sample, with_none, sd15_conds)) < TOLERANCE


@pytest.mark.parametrize("method", ["LoRA Switch", "LoRA Composite", "CMLoRA"])
def test_runs_one_after_another_are_fresh_runs(pack, sd15, sd15_conds, loras, sample, method):
    def fresh():
        return compose(pack, sd15.model, a_set(pack, loras), {"method": method}).model

    model, alone = fresh(), {steps: run(sample, fresh(), sd15_conds, steps=steps) for steps in (3, 4)}
    for steps in (3, 4, 3):
        assert torch.equal(run(sample, model, sd15_conds, steps=steps), alone[steps])

    def stop(step, *_):
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(sample, model, sd15_conds, callback=stop)
    assert not any(module._forward_hooks for module in sd15.model.model.modules())
    assert torch.equal(run(sample, model, sd15_conds, steps=3), alone[3])


def test_composite_with_a_controlnet(pack, sd15, sd15_conds, loras, sample, controlled):
    conds = controlled(sd15_conds)
    found = run(sample, compose(pack, sd15.model, a_set(pack, loras), "LoRA Composite").model, conds)
    expected = run(sample, sd15.model, hooked(conds, [lora_hook(lora) for lora in loras]))
    assert relative(run(sample, sd15.model, sd15_conds), run(sample, sd15.model, conds)) > 1e-2
    assert relative(found, expected) < TOLERANCE


def test_cond_and_uncond_in_separate_calls(pack, sd15, sd15_conds, loras, sample, monkeypatch):
    model = compose(pack, sd15.model, a_set(pack, loras), "CMLoRA").model
    together = run(sample, model, sd15_conds)
    monkeypatch.setattr(type(sd15.model.model), "memory_required", lambda *a, **k: 1e30)
    assert relative(run(sample, model, sd15_conds), together) < TOLERANCE


def test_b_lora_on_sdxl(pack, sdxl_model, sdxl_conds, sample):
    """The subject in its block, the style in its own, and core's loader for what that leaves of each."""
    layers = [
        f"{block}.transformer_blocks.0.attn{a}.{p}"
        for block in ("output_blocks.0.1", "output_blocks.1.1", "middle_block.1")
        for a in (1, 2)
        for p in ("to_q", "to_k", "to_v", "to_out.0")
    ]
    subject, style = (random_lora(sdxl_model.model, layers, 4, seed) for seed in (71, 72))
    found = compose(
        pack, sdxl_model, lora_set(pack, (subject, "subject", 1.0), (style, "style", 1.0)), "B-LoRA"
    )
    kept = [
        {k: v for k, v in lora.items() if f".{block}." in k}
        for lora, block in ((subject, "output_blocks.0.1"), (style, "output_blocks.1.1"))
    ]
    expected = baked(baked(sdxl_model, kept[0]), kept[1])
    latents = [sample(m, *sdxl_conds, steps=3) for m in (found.model, expected, sdxl_model)]
    assert relative(latents[2], latents[1]) > 1e-3
    assert relative(latents[0], latents[1]) < TOLERANCE
    assert part(pack, "klora_core.methods").NOBODY in found.plan.method.chosen
