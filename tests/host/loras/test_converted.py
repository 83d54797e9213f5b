"""The host's converters get a LoRA's real tensors, and each of them is followed to its name in the file."""

from __future__ import annotations

import comfy.lora_convert
import pytest
import torch

from tests.support.host.lora_accounts import accounted, lora
from tests.support.host.nodes import part

AT = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1"
GOOD = lora(f"{AT}.to_q", 320, 320)


@pytest.fixture
def converted(pack, monkeypatch):
    """`converted(lora, host)` with that for the host's ``convert_lora``."""

    def by(tensors, host):
        monkeypatch.setattr(comfy.lora_convert, "convert_lora", host)
        return part(pack, "nodes.loras.converted").converted(tensors)

    return by


def test_a_host_may_do_with_them_what_it_does_with_tensors(converted):
    def host(tensors):
        assert all(type(tensor) is torch.Tensor for tensor in tensors.values())
        found = {}
        for key, tensor in tensors.items():
            # Cut, looked into, as they are under another name, and made anew.
            if tensor.any() and key.endswith("lora_up.weight"):
                found |= {f"{i}.{key}": cut for i, cut in enumerate(tensor.split(100))}
            else:
                found[f"new.{key}"] = tensor
        return {**found, "of.the.host": torch.ones(1)}

    up, down = GOOD
    tensors, origin, lost = converted(GOOD, host)
    assert origin == {f"new.{down}": down, **{f"{i}.{up}": up for i in range(4)}} and lost == []
    assert tensors[f"new.{down}"] is GOOD[down]
    assert torch.equal(torch.cat([tensors[f"{i}.{up}"] for i in range(4)]), GOOD[up])
    assert tensors["of.the.host"].item() == 1


def test_one_tensor_under_two_names_is_two(converted):
    twins = dict.fromkeys(("a", "b"), torch.ones(2))
    assert converted(twins, lambda tensors: {f"x.{key}": t for key, t in tensors.items()})[1] == {
        "x.a": "a",
        "x.b": "b",
    }


def test_what_falls_together_is_lost_by_name(converted):
    _, origin, (left,) = converted(GOOD, lambda tensors: {"one": list(tensors.values())[-1]})
    assert (left.keys, *origin.values()) == ((next(iter(GOOD)),), list(GOOD)[1])
    assert "gives two tensors of the file one name" in left.reason


def test_names_that_are_no_text_and_values_that_are_no_tensors_are_no_work_for_the_host(
    pack, sd15, monkeypatch
):
    def host(tensors):
        return {key.lower().replace("X", "x"): tensor for key, tensor in tensors.items()}

    monkeypatch.setattr(comfy.lora_convert, "convert_lora", host)
    found = part(pack, "nodes.loras.read").read({**GOOD, 7: torch.ones(1)}, "a.safetensors", sd15.model, None)
    assert [item.name for item in found.left] == ["7"]
    with pytest.raises(ValueError, match="no tensor"):
        accounted(pack, {**GOOD, f"{AT}.to_k.lora_up.weight": "x"}, sd15.model)
