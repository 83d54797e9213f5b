"""Which rules and LoRAs Pick and Learn takes, and what it says of those that it does not."""

from __future__ import annotations

import re

import pytest
import torch

from tests.support.host.nodes import part
from tests.support.learning.picking import PAIR
from tests.support.learning.world import Hooked, loras


def test_all_usual_rules_and_three_loras(run, set_of):
    three = set_of(roles=("subject", "style", "style"))
    *_, images, report, document = run(set=three, rules="", steps=1)
    names = {p["rule"] for p in document["pictures"]}
    assert {"sum 1/0.5/0.5", "calibrated", "Arrow N", "K-LoRA s* 0", "NP-LoRA 0.5"} <= names
    assert len(names) == len(images) == 13
    assert images.nbytes == 13 * 96 * 96 * 3 * 4 and report.endswith(" images holds 1 MB of memory.")
    assert len({image.numpy().tobytes() for image in images}) == 13


def test_usual_rules_that_do_not_fit_are_named(run, pack, world):
    made, node = None, part(pack, "nodes").KLoRASet
    blocks = "joint 0: 0", "joint 0: 1, joint 1-9: 0"
    for lora, role, own in zip(
        loras("plain", PAIR.subject, PAIR.style), ("subject", "style"), blocks, strict=True
    ):
        made = node.execute(1.0, role, lora=lora, set=made, blocks=own).result[0]
    *_, report, document = run(set=made, rules="", steps=1)
    assert re.search(r"K-LoRA s \S+ is NOT on the sheet: ", report) and document["of"] < 13
    with pytest.raises(
        part(pack, "klora_core.errors").KLoraError,
        match="^Use LoRAs of .*: K-LoRA s -0.5: the two LoRAs share no layer",
    ):
        run(set=made, rules="K-LoRA s -0.5")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"picks": "1, nothing, 5, 1"}, "^Take '1, nothing, 5, 1' out of picks: 'nothing' is no rule"),
        ({"picks": "1, sum 1/1/1, 5"}, "^Take '1, sum 1/1/1, 5' out of picks: sum 1/1/1 has 3 strengths"),
        ({"picks": "take"}, "^Pick pictures before you take"),
        ({"rules": "foo"}, "^Write one such as 'sum 0.7'.*: 'foo' is no rule"),
        ({"part": "5 of 4"}, "^Write 'all' in part"),
        ({"sampler": "foo"}, "^Use one that KSampler offers, such as euler: unknown sampler 'foo'"),
        ({"scheduler": "\n" * 999}, "^Use one that KSampler offers.*: unknown scheduler"),
        ({"vae": "junk"}, "^Connect a checkpoint loader.*: vae must be a VAE, got 'junk'"),
        ({"liked": torch.ones(2, 2)}, "^Connect Load Image.*: liked must be images, got "),
        ({"set": []}, "^Connect LoRA Set: set must be a set of LoRAs"),
        ({"picks": 3}, "^Put it in quotation marks: picks must be a text"),
        ({"steps": 0}, "^Give steps 1 or more: steps is 0"),
        ({"pictures": -1}, "^Give pictures 1 or more: pictures is -1"),
        ({"clip": Hooked()}, "^Connect prompts, or a text encoder, without hooks"),
        ({"seed": 0.5}, "^Give 0: seed must be a whole number"),
        ({"prompt": ""}, "^Write what the pictures show in prompt.*the file of subject LoRA tells none"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(run, pack, temp, more, message):
    with pytest.raises(part(pack, "klora_core.errors").KLoraError, match=message) as refused:
        run(**more)
    assert "\n" not in str(refused.value) and not list(temp.rglob("*.pt"))


def test_sets_that_do_not_fit_are_refused(run, pack, set_of):
    error = part(pack, "klora_core.errors").KLoraError
    with pytest.raises(error, match="^Give at least one the role .*: no LoRA of the set takes part"):
        run(set=set_of(roles=("other", "other")))
    with pytest.raises(
        error, match="^Give one LoRA another strength .*: every LoRA of the set has strength 0"
    ):
        run(set=set_of(0.0, 0.0))
    with pytest.raises(error, match="^Leave blocks of other LoRA empty"):
        run(set=set_of(roles=("subject", "style", "other"), blocks="joint 0: 0"))
