"""Layers that did not run are named after the first evaluation: in the log, on the page, in later reports."""

from __future__ import annotations

import logging

import pytest
import torch

from klora_core.report import unseen
from tests.support.families.int8 import int8_layers, pair_of
from tests.support.families.nets import patcher, sample
from tests.support.families.reference import reference
from tests.support.host.newer import fusing
from tests.support.host.nodes import fuse, part, relative
from tests.support.host.reference import random_lora

FAMILY = "z_image"
PAST = ("attention.qkv", "feed_forward.w1", "feed_forward.w2", "feed_forward.w3")
RANKS = 4, 3


@pytest.fixture(scope="module")
def int8():
    with torch.inference_mode():
        return pair_of(FAMILY, convrot=True)


@pytest.fixture(scope="module")
def plain():
    with torch.inference_mode():
        return patcher(FAMILY)


def pair_on(model, names):
    return [random_lora(model, names, rank, seed) for seed, rank in enumerate(RANKS)]


def names_of(model):
    found = [
        name
        for name, module in model.model.diffusion_model.named_modules()
        if hasattr(module, "out_features")
    ]
    return [name for name in found if name.startswith(("layers.", "noise_refiner."))]


@pytest.fixture
def told(pack, monkeypatch):
    """What the page is told."""
    sent = []
    monkeypatch.setattr(
        part(pack, "nodes.model.seen"), "announce_unseen", lambda *a, **k: sent.append((*a[1:], *k.values()))
    )
    return sent


def test_a_newer_host_calls_the_layers_that_loras_change(pack, int8, told, caplog):
    """Its fused qkv and feed-forward give way where a LoRA is at work, and nowhere else."""
    model, exact = int8
    names = [name for name in int8_layers(model) if name.endswith(PAST) and name.startswith("layers.0")]
    assert len(names) == 4
    pair = pair_on(exact.model, names)
    expected, base = sample(reference(exact.model, *pair, RANKS).patch(exact), FAMILY), sample(exact, FAMILY)
    fused = fuse(pack, model, *pair).model
    with fusing(model) as past:
        own = sample(model, FAMILY)
        every = set(past)
        past.clear()
        found = sample(fused, FAMILY)
        changed = {name for name in every if name.startswith("layers.0.")}
        assert len(changed) == 2 and set(past) == every - changed
        assert torch.equal(sample(model, FAMILY), own), "nothing is left behind"
    assert relative(base, expected) > 1e-2
    assert relative(found, expected) < max(4 * relative(own, base), 2e-3)
    assert told == [] and "did not run" not in caplog.text


@pytest.mark.parametrize("kind", ("int8", "float32"))
def test_what_goes_past_all_the_same_is_named(pack, int8, plain, told, caplog, kind):
    model = int8[0] if kind == "int8" else plain
    exact = int8[1] if kind == "int8" else plain
    names = names_of(exact)
    missing = [name for name in names if name.endswith(PAST)]
    pair = pair_on(exact.model, names)
    fused = fuse(pack, model, *pair)
    assert "did not run" not in fused.report
    hooks = []

    def count(*_):
        hooks.append(sum(len(module._forward_hooks) for module in fused.model.model.modules()))

    with fusing(model, looks=False):
        found = run(fused.model, count)
    assert torch.isfinite(found).all() and "nan" not in fused.report
    (line,) = [record.getMessage() for record in caplog.records if record.name == "klora"]
    assert all(name in line for name in missing) and f"{len(missing)} of the {len(names)}" in line
    ran = set(names) - set(missing)
    assert not any(f"{name}," in line for name in ran)
    assert told == [(missing, len(names), False)]
    # The watching is over for those that ran: their own hooks are left, and one for each that never did.
    # Folded layers, in float32, have none at all.
    assert set(hooks) == {len(names) + len(missing) if kind == "int8" else 0}
    assert not any(module._forward_hooks for module in model.model.modules())

    # What was seen is in what is written from then on.
    said = unseen(missing, len(names), "in the last run with LoRAs on them")
    assert said in part(pack, "nodes").KLoRASelectionMap.execute(fused.plan, 4).result[1]
    again = fuse(pack, model, *pair, balance=0.1)
    assert said in again.report and again.plan.warnings == fused.plan.warnings
    caplog.clear()
    sample(again.model, FAMILY)
    assert not [record for record in caplog.records if record.name == "klora"]
    assert "did not run" not in fuse(pack, model, *pair).report
    assert "did not run" not in part(pack, "nodes").KLoRASelectionMap.execute(fused.plan, 4).result[1]


def run(model, callback):
    """As ``sample``, with a callback after each step."""
    import comfy.sample

    kept = comfy.sample.sample
    try:
        comfy.sample.sample = lambda *args, **kwargs: kept(*args, **kwargs, callback=callback)
        return sample(model, FAMILY)
    finally:
        comfy.sample.sample = kept


def test_layers_that_run_later_are_no_longer_said_to_be_missing(pack, plain, told, caplog):
    names = names_of(plain)
    fused = fuse(pack, plain, *pair_on(plain.model, names))
    caplog.set_level(logging.INFO, "klora")
    # Each in the first step alone is computed past its layer: cond and uncond are one call.
    with fusing(plain, looks=False, until=1):
        sample(fused.model, FAMILY)
    missing = [name for name in names if name.endswith(PAST)]
    assert told == [(missing, len(names), False), ([], len(names), True)]
    lines = [record.getMessage() for record in caplog.records if record.name == "klora"]
    lines = [line for line in lines if "did" in line]
    assert len(lines) == 2 and lines[1].endswith("did run later.")
    assert "did not run" not in fuse(pack, plain, *pair_on(plain.model, names)).report


def test_a_run_that_is_broken_off_in_its_first_evaluation_says_nothing(pack, plain, told, caplog):
    fused = fuse(pack, plain, *pair_on(plain.model, names_of(plain)))

    def stop(*_):
        raise KeyboardInterrupt

    handle = plain.model.diffusion_model.final_layer.register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt), fusing(plain, looks=False):
        sample(fused.model, FAMILY)
    handle.remove()
    assert told == [] and "did not run" not in caplog.text


def test_the_page_gets_it_by_an_event_of_its_own(pack, monkeypatch):
    page, sent = part(pack, "nodes.host.page"), []

    class Server:
        client_id = "page"

        @staticmethod
        def send_sync(*message):
            sent.append(message)

    monkeypatch.setattr(page.PromptServer, "instance", Server, raising=False)
    page.announce_unseen("7", ["layers.0.w1"], 12, whole=False)
    detail = {"node": "7", "layers": ["layers.0.w1"], "of": 12, "whole": False}
    assert sent == [("klora.unseen", detail, "page")]
