"""What Train a Merge refuses, and says of it."""

from __future__ import annotations

import importlib

import comfy.model_management
import pytest
import torch

from tests.support.host.nodes import part
from tests.support.learning.on_world import PAIR, PROMPT, SHORT, good, run, teach
from tests.support.learning.world import Hooked, loras, prompts


@pytest.mark.parametrize(
    ("method", "more", "message"),
    [
        ("taught", {}, r"^Connect images \(with a VAE\) or latents: .* Four that you like"),
        (
            "taught",
            {"images": torch.zeros(1, 96, 96, 3)},
            "^Connect a VAE, or connect latents .*: the images need one",
        ),
        (
            "taught",
            {"latents": {"samples": torch.zeros(1, 16, 12, 12)}},
            "^Write what the pictures show in prompt.*: the file of subject LoRA tells none",
        ),
        ("ZipLoRA", {}, "^Write what to ask subject LoRA for in prompts, in its line: .* no trigger words"),
        (
            "calibrated",
            {"prompts": "a\nb\nc"},
            "^Write one line of prompts for each LoRA: these are 3 for 2 LoRAs",
        ),
        ("calibrated", {"prompts": "a"}, "^Write what to ask style LoRA for"),
        ("ZipLoRA", {"pictures": 0}, "^Give pictures 1 or more: pictures is 0"),
        ("calibrated", {"sampling_steps": -1}, "^Give sampling_steps 1 or more"),
        ("taught", {"prompt": PROMPT, "width": 0}, "^Give width 1 or more"),
        ("mixture", {}, "^method must be one of taught, ZipLoRA, calibrated, MoLE gate, Arrow, got"),
    ],
)
def test_what_is_missing_is_said(pack, world, set_of, method, more, message):
    with pytest.raises(part(pack, "klora_core.errors").KLoraError, match=message):
        run(pack, world, set_of(1.0, 1.0), {"method": method}, **more)


def test_a_training_of_no_steps_is_refused(pack, world, set_of):
    with pytest.raises(part(pack, "klora_core.errors").KLoraError, match="^Give steps 1 or more: steps is 0"):
        teach(pack, world, set_of(1.0, 1.0), steps=0)


@pytest.mark.parametrize("method", ["taught", "calibrated"])
def test_prompts_with_hooks_are_refused(pack, world, set_of, method):
    given = {"prompt": PROMPT, "prompts": prompts(*PAIR), "latents": good(world, 1)}
    with pytest.raises(part(pack, "klora_core.errors").KLoraError, match="^Connect .* without hooks: "):
        part(pack, "nodes").KLoRATrainMerge.execute(
            world, Hooked(), set_of(1.0, 1.0), {"method": method}, **given
        )


def test_a_fused_model_is_refused(pack, world, set_of):
    pair = loras("plain", *PAIR)
    fused = part(pack, "nodes").KLoRAFuse.execute(world, *pair, 1.0, 1.0, 0.0, {"schedule": "s"}).result[0]
    with pytest.raises(
        part(pack, "klora_core.errors").KLoraError, match="^Connect the model from before K-LoRA"
    ):
        teach(pack, fused, set_of(1.0, 1.0), latents=good(world, 1))


def test_a_lora_that_is_off_is_named(pack, world, set_of):
    with pytest.raises(
        part(pack, "klora_core.errors").KLoraError, match="^Give style LoRA a strength other than 0"
    ):
        run(pack, world, set_of(1.0, 0.0), {"method": "ZipLoRA"}, prompts=prompts(*PAIR), **SHORT)


def test_too_little_memory_is_said_before_it_is_taken(pack, world, set_of):
    memory = importlib.import_module(f"{pack.__name__}.nodes.training.memory")
    total = comfy.model_management.get_total_memory(world.load_device)
    with pytest.raises(part(pack, "klora_core.errors").KLoraError, match="^Use an fp8 version of the model"):
        memory.check_weights(world, 2 * total)
