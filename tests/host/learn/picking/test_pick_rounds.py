"""Rounds of Pick and Learn on the small world: what is learned from the picks, and what is taken."""

from __future__ import annotations

import os

import comfy.utils
import folder_paths
import torch
from comfy_extras.nodes_train import SaveLoRA

import nodes as core_nodes
from tests.support.host.nodes import part
from tests.support.learning.picking import by_core, file_of, is_blocked, learned_latent, line_of
from tests.support.learning.world import left_on


def test_two_rounds_and_what_is_taken(run, world, temp, tmp_path, monkeypatch):
    before = by_core(world, 9)
    lora, model, images, report, sheet = run()
    assert is_blocked(lora) and is_blocked(model) and images.shape == (3, 96, 96, 3)
    assert "Round 1: 3 pictures, in no order, by 3 rules" in report and sheet["best"] == ""
    assert [p["place"] for p in sheet["pictures"]] == [1, 2, 3] and not sheet["hint"]
    assert all(os.path.isfile(file_of(p)) and not p["picked"] for p in sheet["pictures"])
    picks = f"{line_of(sheet, 'sum 1/0.5')}\n{line_of(sheet, 'K-LoRA s -0.5')}\nmore"
    lora, model, images, report, second = run(picks)
    assert second["shown"] == ["learned 2", "sum 1/0.5"] and len(images) == 4
    assert [p["group"] for p in second["pictures"]] == [1, 1, 2, 2]
    assert "learned 2: from 2 pictures in 2 steps" in report and "Variety: pictures of learned 2" in report
    assert "by rule: sum 1/0.5 (1), K-LoRA s -0.5 (1)." in report and "Memory: " in report
    picks += f"\n{line_of(second, 'learned 2')}\ntake"
    taken, model, images, report, last = run(picks)
    assert last["taken"] == "learned 2" and len(images) == 3 and all(p["picked"] for p in last["pictures"])
    assert "Taken: learned 2" in report and taken.keys() == lora.keys()
    assert all(torch.equal(taken[key], lora[key]) for key in lora)
    # An ordinary file of both ranks, which core's own nodes save, and render to the latents of the sheet.
    assert taken.metadata["ss_network_dim"] == "16" and "klora_merge" in taken.metadata
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    SaveLoRA.execute(taken, "loras/picked", 200)
    (file,) = tmp_path.rglob("picked_200_steps_*.safetensors")
    folder_paths.add_model_folder_path("loras", str(file.parent))
    loaded = core_nodes.LoraLoaderModelOnly().load_lora_model_only(world, file.name, 1.0)[0]
    shown = learned_latent(temp, 1005)
    assert min(float((by_core(loaded, 1005) - each).abs().max()) for each in shown) < 1e-5
    assert min(float((by_core(model, 1005) - each).abs().max()) for each in shown) < 1e-5
    assert torch.equal(by_core(world, 9), before) and not left_on(world)
    # All of it is there at once in the same Run again.
    bars = []
    comfy.utils.set_progress_bar_global_hook(lambda *args, **kwargs: bars.append(args))
    try:
        again = run(picks)
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    assert not bars and again[3].splitlines()[:-1] == report.splitlines()[:-1] and again[4] == last


def test_pictures_of_ones_own_are_picks(run, temp):
    own = torch.rand(2, 96, 96, 3, generator=torch.Generator().manual_seed(1))
    lora, _, images, report, document = run("more", liked=own)
    assert "learned 2: from 2 pictures" in report and "Pictures of your own: 2." in report
    assert document["shown"] == ["learned 2", "sum 0.7"] and len(images) == 4 and not document["hint"]
    other = run("more", liked=own.flip(1))[0]
    assert any(not torch.equal(lora[key], other[key]) for key in lora)
    taken, _, images, _, document = run("take", liked=own)
    assert document["taken"] == "learned 2" and torch.equal(images, own)
    assert all(torch.equal(taken[key], lora[key]) for key in lora)


def test_nothing_picked_says_what_to_try(run):
    first = run()
    lora, model, images, report, document = run("more")
    assert is_blocked(lora) and is_blocked(model) and document["shown"] == []
    assert "Nothing is picked yet" in document["hint"] and "other trigger words" in report
    assert len(images) == 3 and not torch.equal(images, first[2])


def test_a_rule_is_taken(run, world, pack):
    *_, sheet = run()
    pick = line_of(sheet, "sum 0.7")
    lora, model, *_, document = run(f"{pick}\ntake sum 1/0.5")
    assert document["taken"] == "sum 1/0.5" and lora.metadata["ss_network_dim"] == "16"
    # One that is no LoRA: the model works by it, the LoRA is what was learned.
    lora, model, _, report, document = run(f"{pick}\ntake K-LoRA s -0.5")
    assert document["taken"] == "K-LoRA s -0.5" and "which no LoRA file can hold" in report
    assert lora.metadata and any(str(k).startswith("klora/") for w in model.wrappers.values() for k in w)
    lora, *_ = run("take K-LoRA s -0.5")
    assert is_blocked(lora)


def test_variety_is_told_of_the_same_noises_alone(pack):
    rules, variety = part(pack, "klora_core.train.picks"), part(pack, "nodes.learn.picking.telling").variety
    learned, rule = rules.learned_for(2), rules.parse_rule("sum 0.7")
    flat = {seed: torch.full((1, 2, 2), float(seed)) for seed in range(5)}
    half = {seed: latent / 2 for seed, latent in flat.items() if seed < 3}
    (line,) = variety({learned: half, rule: {seed: flat[seed] for seed in (1, 2, 4)}})
    assert line.startswith(
        "Variety: pictures of learned 2 differ 0.50 times as much as those of sum 0.7, over 2"
    )
    assert "Pick more pictures" in line
    assert not variety({learned: half, rule: {seed: flat[seed] for seed in (2, 3, 4)}})
