"""As scheduled in the real host: against dense rewriting before every evaluation, and what it equals."""

from __future__ import annotations

import pytest
import torch

from tests.support.families.by_hand import (
    LATE_UP,
    RAMP,
    STEPS,
    ByHand,
    a_set,
    between,
    by_hand,
    everywhere,
    late_up,
    sixteenths,
)
from tests.support.host.nodes import UNET_LAYERS, baked, compose, merged, part, relative
from tests.support.host.reference import random_lora

# float32 on both sides: the same products in another order. The factors' rounding is what is left.
TOLERANCE = 5e-6


@pytest.fixture(scope="module")
def loras(_sd15):
    model = _sd15.model.model
    return [
        random_lora(model, UNET_LAYERS[i : 14 + i], 3 + i, 50 + i, scale=0.2, alpha=2 + i) for i in range(3)
    ]


def three(pack, model, loras, **options):
    return by_hand(
        pack,
        model,
        (loras[0], "subject", 0.9, {"start": 0.2, "end": 0.8, "curve": STEPS}),
        (loras[1], "style", 1.1, {"curve": RAMP}),
        (loras[2], "style", -0.6, {"start": 0.4, "blocks": LATE_UP}),
        **options,
    )


def three_restated(loras, by="steps"):
    return ByHand(
        (loras[0], 0.9, lambda x: between(0.2, 0.8)(x) * (1 if x < 0.5 else 0.25), everywhere),
        (loras[1], 1.1, sixteenths, everywhere),
        (loras[2], -0.6, between(0.4, 1), late_up),
        by=by,
    )


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2", "dpmpp_2m_sde", "uni_pc"])
def test_latents_equal_dense_rewriting(pack, sd15, sd15_conds, loras, sample, sampler):
    found, reference = three(pack, sd15.model, loras), three_restated(loras)
    latents = [
        sample(model, *sd15_conds, steps=6, sampler_name=sampler)
        for model in (found.model, reference.patch(sd15.model), sd15.model)
    ]
    assert relative(latents[2], latents[1]) > 1e-2, "the LoRAs do not show"
    assert relative(latents[0], latents[1]) < TOLERANCE
    assert "at most 0.0333 off" in found.report and "at 16 bits for what is on together" in found.report


def test_parts_of_a_run_go_on_where_the_others_ended(pack, sd15, sd15_conds, loras, sample):
    """img2img, two samplers in a row: by the noise, as auto does. No step lies on a border, by eight."""

    def run(model):
        half = sample(model, *sd15_conds, steps=8, start_step=0, last_step=4)
        return sample(model, *sd15_conds, steps=8, start_step=4, disable_noise=True, latent=half)

    found, reference = three(pack, sd15.model, loras), three_restated(loras, by="noise")
    assert relative(run(found.model), run(reference.patch(sd15.model))) < TOLERANCE
    partly = [
        sample(m, *sd15_conds, steps=3, denoise=0.375) for m in (found.model, reference.patch(sd15.model))
    ]
    assert relative(*partly) < TOLERANCE


def test_one_throughout_is_core_s_loader_and_several_are_linear(pack, sd15, sd15_conds, loras, sample):
    one = by_hand(pack, sd15.model, (loras[0], "subject", 0.8, {"blocks": "all: 1", "curve": "0:1"}))
    latents = [sample(m, *sd15_conds, steps=3) for m in (one.model, baked(sd15.model, loras[0], 0.8))]
    assert relative(*latents) < TOLERANCE
    rows = [(loras[0], "subject", 1.0, {}), (loras[1], "style", 0.5, {}), (loras[2], "style", -1.0, {})]
    several = by_hand(pack, sd15.model, *rows)
    linear = merged(pack, sd15.model, a_set(pack, *rows), "Linear")[0]
    latents = [sample(m, *sd15_conds, steps=3) for m in (several.model, baked(sd15.model, linear))]
    assert relative(*latents) < TOLERANCE


def test_windows_that_share_no_step_are_lora_switch(pack, sd15, sd15_conds, loras, sample):
    windows = ((0, 0.25), (0.25, 0.5), (0.5, 1))
    rows = [
        (lora, role, 0.8, {"start": a, "end": b})
        for lora, role, (a, b) in zip(loras, ("subject", "style", "style"), windows, strict=True)
    ]
    found = by_hand(pack, sd15.model, *rows)
    plain = a_set(pack, *((lora, role, strength, {}) for lora, role, strength, _ in rows))
    method = {"method": "LoRA Switch", "turn": {"turn": "part of the run", "tau": 0.25}, "order": "paper"}
    switch = compose(pack, sd15.model, plain, method)
    steps = [m for m in part(pack, "klora_core.progress").in_steps(16).moments if m.x < 0.75]
    assert found.plan.candidates == switch.plan.candidates
    for moment in steps:
        assert found.plan.who(moment).tolist() == switch.plan.who(moment).tolist()
    two = [
        compose(pack, sd15.model, plain[:2], {**method, "turn": {"turn": "part of the run", "tau": 0.5}}),
        by_hand(
            pack,
            sd15.model,
            *((*row[:3], {"start": i / 2, "end": (i + 1) / 2}) for i, row in enumerate(rows[:2])),
        ),
    ]
    assert torch.equal(*(sample(each.model, *sd15_conds, steps=4) for each in two))


def test_klora_s_choices_written_as_windows_are_klora(pack, sd15, sd15_conds, _sd15, sample):
    """A layer a block, so that a block's strength is a layer's; for each a row of its own."""
    model, blocks = _sd15.model.model, ("down 1", "mid", "up 1", "up 2")
    layers = [UNET_LAYERS[0], UNET_LAYERS[6], UNET_LAYERS[11], UNET_LAYERS[12]]
    pair = [random_lora(model, layers, 4, seed, scale=0.4) for seed in (7, 8)]
    fused = compose(
        pack, sd15.model, a_set(pack, (pair[0], "subject", 1, {}), (pair[1], "style", 1, {})), "K-LoRA"
    )
    names = {slot.name: i for i, slot in enumerate(fused.plan.slots)}
    moments = part(pack, "klora_core.progress").in_steps(6).moments
    choices = [fused.plan.who(moment)[0] for moment in moments]
    rows, changed = [], 0
    for layer, own in zip(layers, blocks, strict=True):
        turns = [int(choice[names[layer]]) for choice in choices]
        flip = turns.index(1) / 6 if 1 in turns else 1.0
        changed += 0 < flip < 1
        only = f"all: 0, {own}: 1"
        rows.append((pair[0], "subject", 1, {"end": flip, "blocks": only}))
        rows.append((pair[1], "style", 1, {"start": flip, "blocks": only}))
    assert changed, "nothing changes hands"
    found = by_hand(pack, sd15.model, *rows)
    assert relative(*(sample(each.model, *sd15_conds, steps=6) for each in (found, fused))) < TOLERANCE
    assert "are the same LoRA" not in found.report


@pytest.mark.parametrize("family", ["sdxl", "flux"])
def test_presets_on_two_more_families(pack, family, request, sample):
    model, conds = (request.getfixturevalue(f"{family}_{what}") for what in ("model", "conds"))
    if family == "sdxl":
        layers = [
            f"{block}.transformer_blocks.0.attn2.to_k"
            for block in ("output_blocks.0.1", "output_blocks.1.1", "middle_block.1", "input_blocks.4.1")
        ]
        content, style = "output_blocks.0.1", "output_blocks.1.1"
    else:
        layers = ["double_blocks.0.img_attn.qkv", "single_blocks.0.linear1", "single_blocks.1.linear2"]
        content, style = "single_blocks", "nothing"
    pair = [random_lora(model.model, layers, 4, seed, scale=0.5) for seed in (71, 72)]
    found = by_hand(
        pack,
        model,
        (pair[0], "subject", 1.0, {"blocks": "content", "end": 0.7}),
        (pair[1], "style", 0.8, {"blocks": "style", "start": 0.3, "curve": "0:1"}),
    )
    reference = ByHand(
        (pair[0], 1.0, between(0, 0.7), lambda layer: float(layer.startswith(content))),
        (pair[1], 0.8, between(0.3, 1), lambda layer: float(layer.startswith(style))),
    )
    latents = [sample(m, *conds, steps=4) for m in (found.model, reference.patch(model), model)]
    assert relative(latents[2], latents[1]) > 1e-4
    assert relative(latents[0], latents[1]) < TOLERANCE


def test_runs_one_after_another_are_fresh_runs(pack, sd15, sd15_conds, loras, sample):
    model = three(pack, sd15.model, loras).model
    alone = {n: sample(three(pack, sd15.model, loras).model, *sd15_conds, steps=n) for n in (3, 5)}

    def stop(step, *_):
        if step == 1:
            raise KeyboardInterrupt

    for steps in (3, 5):
        assert torch.equal(sample(model, *sd15_conds, steps=steps), alone[steps])
    with pytest.raises(KeyboardInterrupt):
        sample(model, *sd15_conds, steps=5, callback=stop)
    assert torch.equal(sample(model, *sd15_conds, steps=3), alone[3])


def test_buffers_hold_what_is_on_together_and_no_sum_of_it(pack, sd15, loras):
    """Of three at most: twenty sums take no more."""
    found = three(pack, sd15.model, loras)
    (buffers,) = found.model.get_additional_models()
    assert len(found.plan.method.sums) > 20
    assert buffers.model_size() <= 4 * found.plan.method.memory[0] * 1.001
    assert buffers.model_size() <= 1.001 * sum(v.nbytes for lora in loras for v in lora.values())


@pytest.mark.parametrize("method", ["K-LoRA", "LoRA Switch", "LoRA Composite", "CMLoRA"])
def test_other_methods_say_that_they_do_not_follow_it(pack, sd15, loras, method):
    rows = ((loras[0], "subject", 1.0, {"start": 0.5}), (loras[1], "style", 1.0, {}))
    found = compose(pack, sd15.model, a_set(pack, *rows), method)
    assert f"subject: start, end and curve, NOT applied: {method} says when a LoRA works" in found.report
    assert "choose the method As scheduled" in found.report and len(found.plan.not_applied) == 1
    other = by_hand(pack, sd15.model, *rows[1:], (loras[2], "other", 1.0, {"end": 0.5}))
    assert "other: start, end and curve, NOT applied: a LoRA of the role other works all" in other.report
    report = merged(pack, sd15.model, a_set(pack, *rows), "Linear")[1]
    assert report.count("start, end and curve, NOT merged") == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"start": 0.8, "end": 0.2}, "subject LoRA: start 0.8 is after end 0.2"),
        ({"start": 2.0}, "Give start a share of the run from 0 to 1: subject LoRA: start is 2.0"),
        ({"curve": "up"}, "subject LoRA: curve: 'up' is no point of a curve"),
        ({"curve": "0%:1"}, "subject LoRA: curve: '0%:1' is no point of a curve"),
        ({"curve": "1:0, 0:1"}, "subject LoRA: curve: 0 stands behind 1"),
        ({"blocks": "up"}, "subject LoRA: blocks: 'up' has no strength"),
        # Of another kind than the node's inputs are: said of them.
        ({"end": float("nan")}, "end must be"),
        ({"curve": 1}, "curve must be a text"),
    ],
)
def test_what_is_no_schedule_is_one_line(pack, loras, said, words):
    with pytest.raises(ValueError, match=words) as told:
        a_set(pack, (loras[0], "subject", 1.0, said))
    assert "\n" not in str(told.value)
