"""Every weight of a network arrives from every spelling that people have, by both doors."""

from __future__ import annotations

import re
from functools import lru_cache

import pytest
import torch

from klora_core import files
from klora_core.names import block, is_attention, strangers
from tests.support.host.lora_accounts import accounted, patcher
from tests.support.host.networks import NETWORKS
from tests.support.host.nodes import part
from tests.support.host.spellings import SPELLINGS


@lru_cache(maxsize=64)
def model_of(network):
    return patcher(network)


def shapes_of(pack, network):
    shape = part(pack, "nodes.host.names").layer_shape
    found = {name: shape(module) for name, module in model_of(network).model.named_modules()}
    prefix = "diffusion_model."
    return {name.removeprefix(prefix): s for name, s in found.items() if s and name.startswith(prefix)}


_UNETS = {"sd15", "sdxl", "cascade"}


@pytest.mark.parametrize("network", sorted(NETWORKS.keys() - _UNETS))
def test_every_block_has_a_name_and_attention(pack, network):
    blocks = {}
    for name in shapes_of(pack, network):
        group, label = block(name)
        if re.search(r"(blocks|layers|refiner)\.(block)?\d+\.", name) and "scalers" not in name:
            assert group != "other", name
            blocks.setdefault(label, []).append(is_attention(name))
    # Chroma's approximator has none.
    for label, found in blocks.items():
        assert any(found) or label.startswith("guidance"), label
    assert any(map(any, blocks.values()))


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_no_layer_of_a_network_is_strange(pack, network):
    assert strangers(shapes_of(pack, network)) == ()


def covered(targets):
    """The rows of each weight that some module of the spelling changes, None for all."""
    rows = {}
    for target in targets:
        rows.setdefault(target.weight, []).append(target.rows)
    return rows


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_a_spelling_has_a_name_for_every_layer(pack, spelling):
    shapes = shapes_of(pack, spelling.network)
    rows = covered(spelling.modules.values())
    for name, (out, _) in shapes.items():
        if re.fullmatch(spelling.leaves, name):
            assert name not in rows
            continue
        parts = sorted(part or (0, out) for part in rows[name])
        # XLabs' single blocks have q, k and v alone.
        whole = parts[-1][1] == out or "xlabs" in spelling.name
        assert (
            parts[0][0] == 0 and whole and all(a[1] == b[0] for a, b in zip(parts, parts[1:], strict=False))
        )
    assert rows.keys() <= shapes.keys()


@pytest.mark.parametrize(
    ("spelling", "prefix"),
    [(spelling, prefix) for spelling in SPELLINGS for prefix in spelling.prefixes],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_module_arrives_by_both_doors(pack, spelling, prefix):
    model = model_of(spelling.network)
    tensors, changes = spelling.lora(prefix, shapes_of(pack, spelling.network))
    nodes = accounted(pack, tensors, model)
    assert not nodes.left
    core = files.from_tensors("odd.safetensors", tensors)
    assert not core.left
    before = {key.removeprefix("diffusion_model.").removesuffix(".weight") for key in nodes.before}
    expected = {(weight, rows and (rows[0], rows[1] - rows[0])) for weight, rows in changes}
    assert {(slot.weight, slot.rows) for slot in core.slots} == expected
    assert {(slot.weight, slot.rows) for slot in nodes.slots} == {e for e in expected if e[0] not in before}
    for slots in (core.slots, nodes.slots):
        for slot, delta in slots.items():
            up, down = changes[slot.weight, slot.rows and (slot.rows[0], sum(slot.rows))]
            assert torch.equal(delta.up, up) and torch.equal(delta.down, down) and delta.scale == 1
