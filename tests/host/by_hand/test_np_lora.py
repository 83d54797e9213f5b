"""NP-LoRA live in the real host: what the merge of that name gives, and a dial that makes nothing."""

from __future__ import annotations

import re

import pytest
import torch

from tests.support.host.nodes import baked, compose, fuse, lora_set, merged, part, relative, unet_pair

TOLERANCE = 1e-5


@pytest.fixture
def pair(_sd15):
    """Tensors that count what is written into them, as those of our own loader."""
    with torch.inference_mode(False):
        return unet_pair(_sd15.model.model)


def live(pack, model, pair, mu, **options):
    return fuse(pack, model, *pair, schedule={"schedule": "np-lora", "mu": mu}, **options)


@pytest.mark.parametrize("mu", [0.0, 0.5, 1e6])
def test_it_is_the_merge_of_that_name(pack, sd15, sd15_conds, pair, sample, mu):
    strengths = {"subject_strength": 0.9, "style_strength": 1.2}
    options = {"schedule": {"schedule": "np-lora", "mu": mu}} if mu <= 20 else {}
    method = part(pack, "klora_core.methods.making").np_lora(mu)
    found = (
        fuse(pack, sd15.model, *pair, **strengths, **options).model
        if options
        else composed(pack, sd15.model, pair, method)
    )
    given = lora_set(pack, (pair[0], "subject", 0.9), (pair[1], "style", 1.2))
    lora, _ = merged(pack, sd15.model, given, {"method": "NP-LoRA", "mu": mu})
    latents = [sample(m, *sd15_conds, steps=3) for m in (found, baked(sd15.model, lora), sd15.model)]
    assert relative(latents[2], latents[1]) > 1e-2
    assert relative(latents[0], latents[1]) < TOLERANCE


def composed(pack, model, pair, make):
    composing = part(pack, "nodes.composing")
    members = [
        composing.Member(lora, role, role, strength)
        for lora, role, strength in zip(pair, ("subject", "style"), (0.9, 1.2), strict=True)
    ]
    return composing.compose(model, None, members, make, "keep", "auto", None).result[0]


def test_compose_has_it_too_and_the_map_says_what_it_is(pack, sd15, sd15_conds, pair, sample):
    given = lora_set(pack, (pair[0], "subject", 1.0), (pair[1], "style", 1.0))
    found = compose(pack, sd15.model, given, {"method": "NP-LoRA", "mu": 0.5})
    fused = live(pack, sd15.model, pair, 0.5)
    assert found.plan == fused.plan and found.report == fused.report
    assert fused.plan.candidates == ("both, subject outside the style's inputs",)
    assert "mu" in fused.report and "Warning" not in fused.report
    assert torch.equal(*(sample(each.model, *sd15_conds, steps=2) for each in (found, fused)))
    assert part(pack, "klora_core.plan_file").from_json(fused.plan.to_json(9)) == fused.plan


def test_a_turned_mu_reads_no_bytes_and_projects_nothing(pack, sd15, pair, monkeypatch):
    live(pack, sd15.model, pair, 0.5)
    done = []
    for module, name in (
        ("nodes.loras.read", "_Reader"),
        ("nodes.loras.proof", "contents"),
        ("klora_core.methods.making", "meet"),
        ("klora_core.deltas.digest", "digest"),
        ("klora_core.deltas.projection", "read_by"),
        ("klora_core.methods.np_lora", "off_inputs"),
    ):
        own = getattr(part(pack, module), name)
        monkeypatch.setattr(
            part(pack, module), name, lambda *a, own=own, name=name, **k: (done.append(name), own(*a, **k))[1]
        )
    turned = live(pack, sd15.model, pair, 0.7)
    assert done == []
    assert turned.plan.method.mu == 0.7 and re.search(r"^ *mu +0\.7\b", turned.report, re.MULTILINE)


def test_saved_workflows_of_the_two_schedules_choose_as_before(pack, sd15, pair):
    plain = fuse(pack, sd15.model, *pair)
    assert plain.plan.method.name == "K-LoRA"
    schema = part(pack, "nodes").KLoRAFuse.define_schema()
    schedule = next(each for each in schema.inputs if each.id == "schedule")
    assert [option.key for option in schedule.options] == ["s", "s*", "np-lora"]


@pytest.mark.parametrize("mu", [-1.0, "much"])
def test_mu_out_of_range_is_one_line(pack, sd15, pair, mu):
    with pytest.raises(ValueError, match="mu must be") as told:
        live(pack, sd15.model, pair, mu)
    assert "\n" not in str(told.value)
