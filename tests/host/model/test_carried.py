"""A model that other nodes patched before: LoRAs that it has already are found, whatever else it has."""

from __future__ import annotations

from types import SimpleNamespace

import comfy.weight_adapter
import pytest
import torch
from comfy_extras.nodes_attention_multiply import UNetCrossAttentionMultiply, UNetSelfAttentionMultiply
from comfy_extras.nodes_model_merging import ModelAdd, ModelMergeSimple

from tests.support.host.nodes import baked, compose, fuse, lora_set, part, relative, unet_pair

SAID = "applied already"
WEIGHT = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"


@pytest.fixture(scope="module")
def pair(_sd15):
    # Of attention layers alone, as many are: those of a LoRA's first layers are looked at.
    return [{k: v for k, v in lora.items() if ".attn" in k} for lora in unet_pair(_sd15.model.model)]


def multiplied(model, factor=0.5):
    for node in (UNetSelfAttentionMultiply, UNetCrossAttentionMultiply):
        model = node.execute(model, *[factor] * 4).result[0]
    return model


def test_cores_attention_multiply_before_both_nodes(pack, sd15, sd15_conds, pair, sample):
    before = multiplied(sd15.model)
    fused = fuse(pack, before, *pair)
    assert SAID not in fused.report
    usual = sample(fuse(pack, sd15.model, *pair).model, *sd15_conds)
    assert 1e-3 < relative(sample(fused.model, *sd15_conds), usual) < 10
    loras = lora_set(pack, (pair[0], "subject", 1.0), (pair[1], "style", 1.0))
    assert compose(pack, before, loras, "K-LoRA").plan == fused.plan


def test_a_lora_is_found_among_other_nodes_patches(pack, sd15, pair):
    for carried in (multiplied(baked(sd15.model, pair[1])), baked(multiplied(sd15.model), pair[1])):
        assert f"style LoRA {SAID}" in fuse(pack, carried, *pair).report


def test_a_lora_of_a_model_that_was_merged_in_is_found(pack, sd15, pair):
    carried = baked(sd15.model, pair[1])
    merged = ModelMergeSimple().merge(sd15.model, carried, 0.5)[0]
    assert f"style LoRA {SAID}" in fuse(pack, merged, *pair).report
    assert f"style LoRA {SAID}" in fuse(pack, ModelAdd().merge(merged, sd15.model)[0], *pair).report
    only = ModelMergeSimple().merge(sd15.model, carried, 1.0)[0]
    assert SAID not in fuse(pack, only, *pair).report, "nothing of the second model is taken"


T, OTHER = torch.arange(6.0).view(2, 3), torch.ones(2, 3)
DIFFERENCES = {
    "kind": ("diff", (T,)),
    "alone": (T,),
    "padded": ("diff", (T, {"pad_weight": True})),
    "of a merged model": [(OTHER, None), (1.0, (T,), 1.0, None, None)],
    "of a merged model's merged model": [(OTHER, None), (1.0, [(OTHER, None), (0.5, (T,), 1, None, None)])],
    "in a list": ("diff", [T]),
}
NONE = {
    "another": (OTHER,),
    "set": ("set", (T,)),
    "a model": ("model_as_lora", (T,)),
    "the base of a merged model": [(T, None)],
    "of no strength in a merged model": [(OTHER, None), (0.0, (T,), 1.0, None, None)],
    "nothing": (None,),
    "kind of nothing": ("diff", (None,)),
    "kind alone": ("diff",),
    "no tensors": ("diff", ()),
    "three": ("diff", (T,), 1),
    "empty": (),
    "empty list": [],
    "list of one": [T],
    "none": None,
    "number": 3,
    "text": "diff",
    "dict": {"diff": T},
    "a function": lambda: T,
    "an object": SimpleNamespace(weights=3),
    "no weights": SimpleNamespace(weights=()),
    "another dtype": (T.half(),),
    "another size": (T[:1],),
    "meta": (T.to("meta"),),
    "sparse": (T.to_sparse(),),
    "complex": (T.to(torch.complex64),),
    "whole": T,
}


@pytest.fixture
def holds(pack):
    carried, dense = part(pack, "nodes.model.carried"), part(pack, "klora_core.deltas").Dense
    return lambda patch: carried.holds(patch, dense(T, 2))


@pytest.mark.parametrize("value", DIFFERENCES.values(), ids=DIFFERENCES)
def test_every_form_of_the_host_is_understood(holds, value):
    assert holds((0.7, value, 1.0, None, None))
    assert not holds((0.0, value, 1.0, None, None))


@pytest.mark.parametrize("value", NONE.values(), ids=NONE)
def test_what_holds_no_lora_is_no_error(holds, value):
    assert not holds((1.0, value, 1.0, None, None))


@pytest.mark.parametrize("patch", [(), (1.0,), None, 3, (torch.ones(2), (T,)), (None, (T,)), ("", (T,))])
def test_nor_is_a_patch_that_is_none(holds, patch):
    assert not holds(patch)


def test_adapters_of_every_kind_before_the_node(pack, sd15, pair):
    model = sd15.model.clone()
    for kind in comfy.weight_adapter.adapters:
        for weights in ((), None, (None,) * 8, (torch.ones(1), None, "text", 1.0)):
            model.add_patches({WEIGHT: kind(set(), weights)}, 1.0)
    for value in [*NONE.values(), *DIFFERENCES.values()]:
        model.add_patches({WEIGHT: value}, 1.0)
    assert SAID not in fuse(pack, model, *pair).report
    assert f"style LoRA {SAID}" in fuse(pack, baked(model, pair[1]), *pair).report


def test_a_kind_that_reads_the_weight_reads_it_as_patched(pack, sd15, pair):
    found = part(pack, "nodes.host").LayerWeights
    shape = tuple(sd15.model.model.state_dict()[WEIGHT].shape)
    plain, twice = (
        found(model).of(WEIGHT, shape, torch.device("cpu")).flat("cpu")
        for model in (sd15.model, multiplied(sd15.model, 2.0))
    )
    assert torch.equal(twice, 2 * plain)
