"""Train a Merge on the small world: what it learns, that it goes on, and that nothing of it is left."""

from __future__ import annotations

import functools
import gc
import importlib
import os
import re

import comfy.model_management
import comfy.sd
import comfy.utils
import folder_paths
import pytest
import torch

from tests.support.host.nodes import part
from tests.support.learning.world import (
    TRIGGERS,
    Hooked,
    Words,
    good_latents,
    left_on,
    load_model,
    loras,
    prompts,
)
from world.hosts.in_host import conditioning
from world.hosts.in_host import sample as sampled

PAIR = "owl", "mosaic"
PROMPT = f"{TRIGGERS['owl']} {TRIGGERS['mosaic']}"
SHORT = {"pictures": 1, "width": 96, "height": 96, "sampling_steps": 2, "cfg": 1.0}


@pytest.fixture(autouse=True)
def _temp(tmp_path):
    before = folder_paths.get_temp_directory()
    folder_paths.set_temp_directory(str(tmp_path))
    yield
    folder_paths.set_temp_directory(before)


@pytest.fixture(scope="module")
def world():
    yield load_model()
    good.cache_clear()


@pytest.fixture
def set_of(pack):
    def make(*strengths, names=PAIR):
        made, node = None, part(pack, "nodes").KLoRASet
        roles = ("subject", *["style"] * (len(names) - 1))
        for lora, role, strength in zip(loras("plain", *names), roles, strengths, strict=True):
            made = node.execute(strength, role, lora=lora, set=made).result[0]
        return made

    return make


def run(pack, model, given, method, **more):
    return part(pack, "nodes").KLoRATrainMerge.execute(model, Words(), given, method, **more).result


@functools.cache
def good(model, count):
    return good_latents(model, *PAIR, count)


def teach(pack, model, given, steps=8, values=None, **more):
    more = {"prompt": PROMPT, "latents": good(model, 2), **more}
    return run(pack, model, given, {"method": "taught", "steps": steps, **(values or {})}, **more)


def picture(model):
    return sampled(model, conditioning(PROMPT), conditioning(""), 3, 1, steps=2, cfg=1.0)


def test_taught_learns_and_gives_an_ordinary_lora(pack, world, set_of):
    before = picture(world)
    given = set_of(0.7, 0.7)
    lora, model, report, loss = teach(pack, world, given, steps=16)
    # One step's loss is of one noise: it tells beside that of a run on the same noises which learns nothing.
    *_, still = teach(pack, world, given, steps=16, values={"rate": 0.0})
    fell = [now / then for now, then in zip(loss["loss"], still["loss"], strict=True)]
    assert len(fell) == 16 and fell[0] == 1 and max(fell[1:]) < 1 and max(fell[8:]) < 0.75
    said = dict(
        line.strip().split(": ") for line in report.splitlines() if line.startswith("  ") and ": " in line
    )
    sums = [float(value) for name, value in said.items() if name.startswith("plain sum")]
    assert len(sums) == 3 and float(said["what was learned"]) < min(sums)
    assert "columns 0." in report and "rows " in report and "Memory: " in report
    shares = re.findall(r"LoRA: (\d+)% \((\d+)% in \S+, (\d+)% in \S+\)", report)
    assert len(shares) == 2 and sum(int(mean) for mean, _, _ in shares) in (99, 100, 101)
    by_core = comfy.sd.load_lora_for_models(world, None, dict(lora), 1.0, 0)[0]
    assert torch.equal(picture(model), picture(by_core))
    assert torch.equal(picture(world), before) and not left_on(world)
    style = loras("plain", "mosaic")[0]
    fuse = part(pack, "nodes").KLoRAFuse
    for pair in ((lora, style), (style, lora)):
        *_, fused_report = fuse.execute(world, *pair, 1.0, 1.0, 0.0, {"schedule": "s"}).result
        assert "NOT applied" not in fused_report
    about = lora.metadata
    assert "klora_merge" in about and about["ss_network_dim"] == "16"


def test_an_equal_run_is_not_learned_again(pack, world, set_of):
    first = teach(pack, world, set_of(1.0, 1.0), steps=2)
    bars = []
    comfy.utils.set_progress_bar_global_hook(lambda *args, **kwargs: bars.append(args))
    try:
        again = teach(pack, world, set_of(1.0, 1.0), steps=2)
        assert not bars
        other = teach(pack, world, set_of(1.0, 0.9), steps=2)
        assert bars
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    assert first[2:] == again[2:] and all(torch.equal(first[0][k], again[0][k]) for k in first[0])
    assert any(not torch.equal(first[0][k], other[0][k]) for k in first[0])


class Interrupts:
    """The host's own progress hook, in which other nodes' users press stop."""

    def __init__(self, at, error=None):
        self._at, self._error = at, error

    def __enter__(self):
        comfy.utils.set_progress_bar_global_hook(self._told)

    def __exit__(self, *_):
        comfy.utils.set_progress_bar_global_hook(None)

    def _told(self, done, total, preview=None, **_):
        if done == self._at:
            if self._error is not None:
                raise self._error
            comfy.model_management.interrupt_current_processing()


STOP = comfy.model_management.InterruptProcessingException


@pytest.mark.parametrize("method", ["taught", "ZipLoRA"])
def test_interrupted_and_run_again_is_the_uninterrupted_bit_for_bit(pack, world, set_of, method, tmp_path):
    given, before = set_of(1.0, 1.0), picture(world)

    def go():
        if method == "taught":
            return teach(pack, world, given, steps=4)
        return run(pack, world, given, {"method": method, "steps": 4}, prompts=prompts(*PAIR), **SHORT)

    folder_paths.set_temp_directory(str(tmp_path / "one"))
    whole = go()
    folder_paths.set_temp_directory(str(tmp_path / "two"))
    # Pictures come first, by bars of their own that end at 2.
    with Interrupts(3), pytest.raises(STOP):
        go()
    assert not comfy.model_management.in_training and not left_on(world)
    assert torch.equal(picture(world), before)
    assert [name for name in os.listdir(tmp_path / "two" / "klora_training") if "state" in name]
    resumed = go()
    assert resumed[3] == whole[3]
    assert all(torch.equal(resumed[0][key], whole[0][key]) for key in whole[0])


def test_out_of_memory_and_other_errors_leave_nothing(pack, world, set_of):
    before, given = picture(world), set_of(1.0, 1.0)
    loaded = len(comfy.model_management.current_loaded_models)
    errors = torch.OutOfMemoryError("no room"), RuntimeError("broken"), KeyboardInterrupt()
    for seed, error in enumerate(errors):
        with Interrupts(1, error), pytest.raises(type(error)):
            teach(pack, world, given, steps=2, seed=seed)
        gc.collect()
        assert len(comfy.model_management.current_loaded_models) <= loaded
        assert not comfy.model_management.in_training and not left_on(world)
    assert torch.equal(picture(world), before)


def resident():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell")
def test_memory_is_back_after_ten_trainings(pack, world, set_of):
    """The second model has 14 MB: ten that stayed would show."""
    given = set_of(1.0, 1.0)

    def train(seed):
        latents = good(world, 1)
        method = {"method": "taught", "steps": 1}
        run(pack, world, given, method, prompt=PROMPT, latents=latents, seed=seed)

    for seed in range(2):
        train(seed)
    before = resident()
    for seed in range(2, 12):
        train(seed)
    assert resident() < before + 30


def test_calibrated_is_nearer_to_each_than_the_plain_sum(pack, world, set_of):
    given = set_of(1.0, 1.0)
    more = {**SHORT, "pictures": 2, "sampling_steps": 4}
    lora, _, report, loss = run(pack, world, given, {"method": "calibrated"}, prompts=prompts(*PAIR), **more)
    said = dict(
        line.strip().split(": ")
        for line in report.splitlines()
        if line.startswith(("  plain sum", "  what was learned"))
    )
    errors = {name: sum(map(float, values.split(", "))) for name, values in said.items()}
    assert errors["what was learned"] < errors["plain sum at 1"] and loss == {"loss": []}
    assert all(tensor.isfinite().all() for tensor in lora.values())


def test_three_loras(pack, world, set_of):
    given = set_of(0.5, 0.5, 0.5, names=(*PAIR, "neon"))
    lora, _, report, _ = teach(pack, world, given, steps=1)
    assert report.count(" x ") == 3 and lora.metadata["ss_network_dim"] == "24"


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


def test_a_lora_learns_in_its_blocks_alone(pack, world):
    made, node = None, part(pack, "nodes").KLoRASet
    for lora, role, blocks in zip(
        loras("plain", *PAIR), ("subject", "style"), ("", "joint 0: 0"), strict=True
    ):
        made = node.execute(1.0, role, lora=lora, set=made, blocks=blocks).result[0]
    lora, _, report, _ = teach(pack, world, made, steps=1)
    ranks = {key: len(tensor) for key, tensor in lora.items() if key.endswith("lora_down.weight")}
    assert {rank for key, rank in ranks.items() if "joint_blocks_0" in key and "qkv" not in key} == {8}
    assert {rank for key, rank in ranks.items() if "joint_blocks_1" in key and "qkv" not in key} == {16}
    assert "style, blocks joint 0: 0" in report
