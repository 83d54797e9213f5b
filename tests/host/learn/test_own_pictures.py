"""What each LoRA is shown of its own: pictures that it makes alone, in its own blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.support.families.again import loadable
from tests.support.host.nodes import part, relative
from tests.support.learning.merge_node import Encoder, loras, train_merge

FAMILY = "wan"


@pytest.fixture(scope="module")
def model():
    return loadable(FAMILY)


def member(pack, lora, **more):
    return part(pack, "nodes.composing").Member(lora, lora.file, "subject", **more)


def pictures(pack, model, one):
    """The latents that a LoRA of a ZipLoRA set makes for itself."""
    job = part(pack, "nodes.learn.ways.job")
    told = Encoder(FAMILY).encode_from_tokens_scheduled
    read = part(pack, "nodes.loras").read(one.tensors, one.name, model, None)
    slots = part(pack, "nodes.composing").at_work(model, [read], [one.blocks])
    way = part(pack, "nodes.learn.ways").WAYS[1]
    how = part(pack, "nodes.training").Sampling(width=32, height=32, steps=2, cfg=1.0)
    with torch.inference_mode():
        made = job.own_items(
            job.Job(way, model, [one], [read], slots, {}, [[told("a bird")]], told(""), (), 2, how)
        )
    return torch.cat([item.latent for item in made[0]])


def test_they_are_made_in_its_blocks_alone(pack, model):
    (lora,) = loras(pack, model, 1)
    whole = pictures(pack, model, member(pack, lora))
    kept = {key: tensor for key, tensor in lora.items() if ".blocks.0." not in key}
    assert 0 < len(kept) < len(lora)
    stored = part(pack, "nodes.loras").LoraStateDict(kept, lora.file)
    wanted = pictures(pack, model, member(pack, stored))
    found = pictures(pack, model, member(pack, lora, blocks="block 0: 0"))
    assert relative(found, wanted) < 1e-4 < 10 * relative(whole, wanted)
    # Half as strong there as the rest is neither.
    assert relative(pictures(pack, model, member(pack, lora, blocks="block 0: 0.5")), wanted) > 1e-4


def test_when_it_works_in_a_run_is_nothing_to_them(pack, model):
    (lora,) = loras(pack, model, 1)
    one = member(pack, lora, blocks="block 0: 0")
    late = replace(one, when=part(pack, "klora_core.methods").When(0.9, 1.0))
    assert torch.equal(pictures(pack, model, one), pictures(pack, model, late))


def test_a_name_and_a_time_that_changed_are_told_of_a_run_that_was_kept(pack, model):
    one, two = loras(pack, model, 2)
    always = member(pack, one), member(pack, two)
    never = replace(always[0], when=part(pack, "klora_core.methods").When(0.5, 1.0), name="heron")
    values = {"steps": 1}
    first, second = (
        train_merge(pack, model, FAMILY, given, "ZipLoRA", values) for given in (always, (never, always[1]))
    )
    assert "NOT merged" not in first.report and "heron" not in first.report
    assert "heron: start, end and curve, NOT merged" in second.report
    assert all(torch.equal(first.lora[key], second.lora[key]) for key in first.lora)
