"""Low VRAM, no VRAM and partial loads, as far as they run without a GPU: the host's own paths, on the CPU.

The host takes those paths for devices that are not the CPU. Here it is told that the CPU is none, and how
much memory is free.
"""

from __future__ import annotations

import comfy.model_management as management
import pytest
import torch

from tests.support.host.nodes import fuse, relative, unet_pair
from tests.support.host.reference import random_lora

VRAM = management.VRAMState


@pytest.fixture
def device(monkeypatch):
    """``device(state, free)``: a device with ``free`` bytes left (a number, or a function), nothing on it."""

    def of(state, free):
        management.unload_all_models()
        monkeypatch.setattr(management, "vram_state", state)
        monkeypatch.setattr(management, "is_device_cpu", lambda _: False)
        left = free if callable(free) else lambda: free
        monkeypatch.setattr(
            management,
            "get_free_memory",
            lambda _=None, torch_free_too=False: (left(), 0) if torch_free_too else left(),
        )
        monkeypatch.setattr(management, "minimum_inference_memory", lambda *_, **__: 0)
        monkeypatch.setattr(management, "extra_reserved_memory", lambda *_, **__: 0)

    yield of
    monkeypatch.undo()
    management.unload_all_models()


def loaded(model):
    """(loaded bytes, all bytes) of the model in the host's books."""
    entry = next(each for each in management.current_loaded_models if each.model.is_clone(model))
    return entry.model_loaded_memory(), entry.model_memory()


@pytest.mark.parametrize("state", [VRAM.NO_VRAM, VRAM.LOW_VRAM, VRAM.NORMAL_VRAM])
def test_a_model_that_is_loaded_in_part_gives_the_same_latents(
    pack, sd15, sd15_conds, pair, sample, device, state
):
    expected = sample(fuse(pack, sd15.model, *pair).model, *sd15_conds)
    device(state, sd15.model.model_size() // 4)
    fused = fuse(pack, sd15.model, *pair).model
    found = sample(fused, *sd15_conds)
    there, whole = loaded(fused)
    assert there < whole / 2, "most of it stayed outside"
    assert relative(found, expected) < 1e-5


def test_the_buffers_tell_the_host_their_true_size(pack, sd15, sd15_conds, pair, sample):
    fused = fuse(pack, sd15.model, *pair).model
    (buffers,) = [each for keyed in fused.additional_models.values() for each in keyed]
    told = buffers.model_size()
    sample(fused, *sd15_conds, steps=2)
    held = sum(parameter.nbytes for parameter in buffers.model.parameters())
    assert told == held > 0


def test_a_queue_of_two_models_and_two_pairs(pack, sd15, sd15_conds, flux_model, flux_conds, sample, device):
    """Models and pairs in turn, in less memory than one of them needs beside the other."""
    pairs = {"sd15": [unet_pair(sd15.model.model)], "flux": [flux_pair(flux_model.model)]}
    for both in pairs.values():
        both.append(both[0][::-1])

    def run(name, turn):
        if name == "sd15":
            return sample(fuse(pack, sd15.model, *pairs[name][turn]).model, *sd15_conds, steps=2)
        fused = fuse(pack, flux_model, *pairs[name][turn]).model
        return sample(fused, *flux_conds, steps=2, cfg=1.0, scheduler="simple")

    jobs = [(name, turn) for turn in (0, 1) for name in pairs]
    expected = {job: run(*job) for job in jobs}
    assert not torch.equal(expected["sd15", 0], expected["sd15", 1])
    budget = sd15.model.model_size()
    device(VRAM.NORMAL_VRAM, lambda: budget - sum(each.model_loaded_memory() for each in in_books()))
    most = 0
    for job in jobs * 2:
        assert relative(run(*job), expected[job]) < 1e-5, job
        most = max(most, sum(each.model_loaded_memory() for each in in_books()))
    assert most < 1.1 * budget, "the host keeps a little of each model in any case"


def in_books():
    return [each for each in management.current_loaded_models if each.model is not None]


def flux_pair(model):
    layers = ("double_blocks.0.img_attn.qkv", "double_blocks.1.txt_mlp.0", "single_blocks.1.linear2")
    return random_lora(model, layers, 4, 1), random_lora(model, layers, 3, 2)
