"""The toy model's words as a CLIP: the host's own nodes encode by it what the node itself gives."""

from __future__ import annotations

import comfy.sd
import pytest
import torch
from safetensors.torch import load_file

import nodes as core_nodes
from tests.support.host.nodes import part
from tools.host.find import REPO
from world.hosts.in_host import load_model

LORA = REPO / "world" / "weights" / "redundant-skull.safetensors"


@pytest.mark.parametrize(("words", "typed"), [("sarn tolmi", "sarn, tolmi"), ("", " ")])
def test_core_s_clip_text_encode_gives_the_same(pack, words, typed):
    (((context, more),), clip) = part(pack, "nodes").KLoRAToyWords.execute(words).result
    (((encoded, told),),) = core_nodes.CLIPTextEncode().encode(clip, typed)
    assert torch.equal(encoded, context) and torch.equal(told["pooled_output"], more["pooled_output"])


def test_too_many_words_are_refused_by_it_too(pack):
    node, error = part(pack, "nodes").KLoRAToyWords, part(pack, "klora_core.errors").KLoraError
    with pytest.raises(error, match="^Write at most 6 words"):
        node.execute("a b c d e f g")
    clip = node.execute("").result[1]
    with pytest.raises(error, match="^Write at most 6 words"):
        core_nodes.CLIPTextEncode().encode(clip, "a b c d e f g")


def test_loaders_of_loras_take_it(pack):
    clip = part(pack, "nodes").KLoRAToyWords.execute("").result[1]
    loaded = comfy.sd.load_lora_for_models(load_model(), clip, load_file(LORA), 1.0, 1.0)
    assert loaded[0].patches and not loaded[1].patcher.patches
