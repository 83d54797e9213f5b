"""Blocks weighed by hand in the real host: every method, merges, and LoRAs of three families."""

from __future__ import annotations

import pytest
import torch

from tests.support.host.nodes import UNET_LAYERS, baked, compose, merged, part, relative
from tests.support.host.reference import random_lora

TEXT = "down: 0, mid: 0.5, up 1-2: -1"


def a_set(pack, *members):
    """A LORA_SET of (LoRA, role, strength, blocks)."""
    execute, found = part(pack, "nodes").KLoRASet.execute, None
    for lora, role, strength, blocks in members:
        found = execute(strength, role, lora=lora, set=found, blocks=blocks).result[0]
    return found


def weighed(lora, factor_of):
    """The LoRA's file with each layer's up times a factor, by its name; layers at 0 left out."""
    found = {}
    for key, value in lora.items():
        factor = factor_of(key.removeprefix("diffusion_model."))
        if factor:
            found[key] = value * factor if "lora_B" in key else value
    return found


def by_text(name):
    if name.startswith("input_blocks"):
        return 0
    if name.startswith("middle_block"):
        return 0.5
    return -1 if name.startswith(("output_blocks.1.", "output_blocks.2.")) else 1


@pytest.mark.parametrize("method", ["LoRA Switch", "LoRA Composite", "CMLoRA"])
def test_the_latents_are_those_of_files_that_are_weighed(pack, sd15, sd15_conds, pair, sample, method):
    found = compose(
        pack, sd15.model, a_set(pack, (pair[0], "subject", 0.9, TEXT), (pair[1], "style", 1.0, "")), method
    )
    other = weighed(pair[0], by_text)
    wanted = compose(
        pack, sd15.model, a_set(pack, (other, "subject", 0.9, ""), (pair[1], "style", 1.0, "")), method
    )
    plain = compose(
        pack, sd15.model, a_set(pack, (pair[0], "subject", 0.9, ""), (pair[1], "style", 1.0, "")), method
    )
    latents = [sample(each.model, *sd15_conds, steps=3) for each in (found, wanted, plain)]
    assert relative(latents[0], latents[1]) < 1e-6
    assert relative(latents[2], latents[1]) > 1e-3
    assert f"blocks {TEXT}" in found.report
    assert part(pack, "klora_core.plan_file").from_json(found.plan.to_json(9)) == found.plan


def test_in_klora_a_slot_at_0_does_not_compete_and_others_choose_as_before(
    pack, sd15, sd15_conds, pair, sample
):
    found, plain = (
        compose(
            pack, sd15.model, a_set(pack, (pair[0], "subject", 1.0, ""), (pair[1], "style", 1.0, b)), "K-LoRA"
        )
        for b in ("down 1: 0, up: 0.5", "")
    )
    names = [slot.name for slot in found.plan.slots]
    assert names == [slot.name for slot in plain.plan.slots if not slot.name.startswith("input_blocks.1.")]
    alone = found.plan.first("subject").alone
    assert {slot.name for slot in plain.plan.slots} - set(names) <= set(alone), (
        "the subject works there alone"
    )
    without = {k: v for k, v in pair[1].items() if "input_blocks.1." not in k}
    wanted = compose(
        pack, sd15.model, a_set(pack, (pair[0], "subject", 1.0, ""), (without, "style", 1.0, "")), "K-LoRA"
    )
    assert found.plan.method == wanted.plan.method, "how strongly it works decides nothing else"
    halved = weighed(without, lambda name: 0.5 if name.startswith("output_blocks") else 1)
    # Who wins is that of the unweighed, what works there is weighed.
    moments = part(pack, "klora_core.progress").in_steps(3).moments
    assert [found.plan.who(m).tolist() for m in moments] == [wanted.plan.who(m).tolist() for m in moments]
    latents = [sample(each.model, *sd15_conds, steps=3) for each in (found, wanted)]
    assert relative(*latents) > 1e-4
    assert sum(v.abs().sum() for v in halved.values()) < sum(v.abs().sum() for v in without.values())


@pytest.mark.parametrize("method", ["Linear", "NP-LoRA", "TIES"])
def test_merges_weigh_blocks(pack, sd15, sd15_conds, pair, sample, method):
    given = a_set(pack, (pair[0], "subject", 0.9, "down: 0, mid: 0.5"), (pair[1], "style", 1.0, "up: 0"))
    found, report = merged(pack, sd15.model, given, method)
    assert "(subject, blocks down: 0, mid: 0.5)" in report
    assert '"blocks": "up: 0"' in found.metadata["klora_merge"]
    if method == "Linear":
        first = weighed(pair[0], lambda n: {"input": 0, "middle": 0.5}.get(n.split("_")[0], 1))
        second = weighed(pair[1], lambda n: 0 if n.startswith("output") else 1)
        expected = baked(baked(sd15.model, first, 0.9), second)
        latents = [sample(m, *sd15_conds, steps=2) for m in (baked(sd15.model, found), expected)]
        assert relative(*latents) < 1e-5


def test_biases_and_norms_are_weighed_with_their_block(pack, sd15, sd15_conds, sample):
    model = sd15.model.model
    lora = random_lora(model, UNET_LAYERS[3:9], 4, 5)
    lora["diffusion_model.input_blocks.1.1.norm.diff"] = torch.ones(
        model.diffusion_model.input_blocks[1][1].norm.weight.shape
    )
    lora["diffusion_model.middle_block.1.norm.diff"] = torch.ones(
        model.diffusion_model.middle_block[1].norm.weight.shape
    )
    only = a_set(pack, (lora, "subject", 1.0, "down 1: 0"))
    found = compose(pack, sd15.model, only, "LoRA Switch")
    kept = {k: v for k, v in lora.items() if "middle_block" in k or "lora_" in k}
    wanted = compose(pack, sd15.model, a_set(pack, (kept, "subject", 1.0, "down 1: 0")), "LoRA Switch")
    assert torch.equal(*(sample(each.model, *sd15_conds, steps=2) for each in (found, wanted)))
    assert "at strength 1 times their block's" in found.report


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ("sideways 2: 1", r"there is no sideways 2 here\. There are .*down 0-\d.*mid"),
        ("content", "content is known of SDXL and FLUX alone"),
        ("up 9-1: 0", "up 9-1 goes down"),
        ("all: 0", "leave no LoRA of the set a layer"),
    ],
)
def test_what_can_not_be_read_is_one_line(pack, sd15, pair, blocks, words):
    for run in (
        lambda given: compose(pack, sd15.model, given, "LoRA Switch"),
        lambda given: merged(pack, sd15.model, given, "Linear"),
    ):
        with pytest.raises(ValueError, match=words) as told:
            run(a_set(pack, (pair[0], "subject", 1.0, blocks)))
        assert "\n" not in str(told.value)


def test_blocks_of_nothing(pack, pair):
    execute = part(pack, "nodes").KLoRASet.execute
    with pytest.raises(ValueError, match="^Connect a LoRA to lora, .*: .* no LoRA is connected there"):
        execute(1.0, "subject", set=a_set(pack, (pair[0], "subject", 1.0, "")), blocks="up: 0")
    with pytest.raises(ValueError, match="blocks must be a text"):
        execute(1.0, "subject", lora=pair[0], blocks=5)


def test_a_lora_that_its_blocks_leave_nothing_is_said(pack, sd15, pair):
    given = a_set(pack, (pair[0], "subject", 1.0, ""), (pair[1], "style", 1.0, "all: 0"))
    report = compose(pack, sd15.model, given, "LoRA Switch").report
    assert "Warning: the style LoRA works nowhere: its blocks leave it none" in report
