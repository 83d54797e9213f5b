"""What Pick and Learn keeps, on disk and in memory: bounded, found again, and gone when it should be."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
from dataclasses import replace

import comfy.model_management
import pytest
import torch
from comfy.model_patcher import ModelPatcher

from tests.support.host.nodes import part
from tests.support.learning.world import resident


def test_names_of_thirty_rounds_are_quick(pack):
    job, picks = (importlib.import_module(f"{pack.__name__}.{name}") for name in (
        "nodes.learn.picking.job", "klora_core.train.picks"
    ))  # fmt: skip
    lines = ["1, sum 1, 1"]
    for number in range(2, 31):
        lines += ["more", *(f"{number}, learned {number}, {seed}" for seed in range(8))]
    nothing = (None, (), (), (), "", [], [], None)
    made = job.Job(*nothing, picks.parse_picks("\n".join(lines)), (), (), picks.Recipe(), "name")
    names = {made.name_of(picks.learned_for(number)) for number in range(2, 31)}
    assert len(names) == 29


def test_a_lora_tells_the_names_that_its_parts_have_now(run, set_of):
    """By other names the same files give the same pictures, and what is learned of them says the new ones."""
    *_, first = run()
    picks = f"{first['pictures'][0]['line']}\nmore"
    lora = run(picks)[0]
    given = set_of()
    renamed = replace(given[0], name="heron.safetensors"), *given[1:]
    again = run(picks, set=renamed)[0]
    assert "heron" in again.metadata["klora_merge"] and "heron" not in lora.metadata["klora_merge"]
    assert all(torch.equal(lora[key], again[key]) for key in lora)
    assert [p["image"] for p in run(set=renamed)[-1]["pictures"]] == [p["image"] for p in first["pictures"]]


def test_sheets_are_bounded(pack, temp):
    shelf = part(pack, "nodes.training").Shelf("few", 3, 1 << 20)
    for i in range(5):
        shelf.keep(f"s{i}", {"i": i})
        os.utime(shelf.path(f"s{i}"), ns=(i * 10**9, i * 10**9))
    # What is taken is new again.
    assert shelf.take("s2") == {"i": 2}
    for i in (5, 6):
        shelf.keep(f"s{i}", {"i": i})
    assert sorted(path.stem for path in temp.rglob("few/*.pt")) == ["s2", "s5", "s6"]


def test_what_is_gone_is_made_again_by_the_same_run(pack, temp):
    """The host runs a node anew where its fingerprint changed."""
    node, shelf = (
        part(pack, "nodes").KLoRAPickAndLearn,
        part(pack, "nodes.training").Shelf("klora_picks", 2, 99),
    )
    first = node.fingerprint_inputs(picks="")
    shelf.keep("a", {})
    assert node.fingerprint_inputs(picks="") == first
    # Another that is kept pushes the oldest out.
    shelf.keep("b", {})
    second = node.fingerprint_inputs()
    assert second != first and node.fingerprint_inputs() == second
    shutil.rmtree(temp)
    assert node.fingerprint_inputs() not in (first, second)


def on(network):
    return {id(each) for each in gc.get_objects() if type(each) is ModelPatcher and each.model is network}


def test_no_model_waits_for_the_garbage_collector(run, set_of, world):
    """It takes a model and the one that this was made of at once; the host then loses what it has loaded."""
    given = set_of(roles=("subject", "style", "other"))
    short = {"rules": "sum 0.7, K-LoRA s 0", "steps": 1, "learning_steps": 1, "set": given}
    gc.collect()
    gc.disable()
    try:
        before = on(world.model)
        line = run(**short)[-1]["pictures"][0]["line"]
        run(f"{line}\nmore", **short)
        assert on(world.model) == before
    finally:
        gc.enable()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell")
def test_memory_is_back_after_some_rounds(run):
    """The second model has 14 MB: four that stayed would show."""

    def round(seed):
        short = {"rules": "sum 0.7", "steps": 1, "learning_steps": 1, "seed": seed}
        *_, sheet = run(**short)
        run(f"{sheet['pictures'][0]['line']}\nmore", **short)

    round(0)
    loaded, before = len(comfy.model_management.current_loaded_models), resident()
    for seed in range(1, 5):
        round(seed)
    assert resident() < before + 30
    assert len(comfy.model_management.current_loaded_models) <= loaded + 1
