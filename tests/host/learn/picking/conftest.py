"""Pick and Learn on the small world."""

from __future__ import annotations

import pytest

from tests.support.host.nodes import part
from tests.support.learning.picking import PAIR, SETTINGS
from tests.support.learning.world import Words, load_model, loras
from world.hosts.in_host import load_vae


@pytest.fixture(scope="session")
def world():
    return load_model()


@pytest.fixture(scope="session")
def vae():
    return load_vae()


@pytest.fixture
def set_of(pack):
    def make(*strengths, roles=("subject", "style"), blocks=""):
        made, node = None, part(pack, "nodes").KLoRASet
        names = (PAIR.subject, PAIR.style, "neon")[: len(roles)]
        strengths = strengths or (1.0,) * len(roles)
        for lora, role, strength in zip(loras("plain", *names), roles, strengths, strict=True):
            more = {"blocks": blocks if role == "other" else ""}
            made = node.execute(strength, role, lora=lora, set=made, **more).result[0]
        return made

    return make


@pytest.fixture
def run(pack, world, vae, set_of):
    """``run(picks, **settings)`` -> lora, model, images, report, and the page's document."""

    def go(picks="", **more):
        wires = {"model": world, "clip": Words(), "vae": vae, "set": set_of()}
        given = {**wires, **SETTINGS, "picks": picks, **more}
        out = part(pack, "nodes").KLoRAPickAndLearn.execute(**given)
        return (*out.result, out.ui["klora_picks"][0])

    return go
