"""What Train a Merge learns on the small world."""

from __future__ import annotations

import re

import comfy.sd
import comfy.utils
import torch

from tests.support.host.nodes import part
from tests.support.learning.on_world import PAIR, SHORT, picture, run, teach
from tests.support.learning.world import left_on, loras, prompts


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
