"""Train a Merge on the small world: its model, and sets of its LoRAs."""

from __future__ import annotations

import pytest

from tests.support.host.nodes import part
from tests.support.learning.on_world import PAIR, good
from tests.support.learning.world import load_model, loras


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
