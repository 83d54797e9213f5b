"""The template that trains a LoRA, executed by the real server: trained, saved, and a picture by it."""

from __future__ import annotations

import pytest

from tests.support.host.shipped_runs import STEPS, execute, picture


def test_train_lora(served):
    prompt, node_of, run = execute(served, "k-lora-train-lora")
    assert run.error is None
    texts = "\n".join(text for key in prompt for text in run.texts(key))
    assert f"CoTo (CoTo, arXiv 2506.05713): 56 layers of rank 16, {STEPS} steps" in texts
    assert "before" in texts and "after" in texts
    image = picture(served, run, node_of["SaveImage"])
    assert len(image.getcolors(image.size[0] * image.size[1])) > 100
    # The loss as a picture.
    assert run.images(node_of["LossGraphNode"])


@pytest.mark.parametrize("name", ["k-lora-pick", "k-lora-try-picking"])
def test_pick_and_learn(served, name):
    """Round 1 shows the sheet and nothing that follows runs; with what was picked there is a LoRA."""
    prompt, node_of, run = execute(served, name)
    sheet = run.outputs[node_of["KLoRAPickAndLearn"]]["klora_picks"][-1]
    assert sheet["of"] == len(sheet["pictures"]) == 3
    assert node_of["SaveImage"] not in run.outputs
    picks = [picture["line"] for picture in sheet["pictures"][:2]]
    prompt[node_of["KLoRAPickAndLearn"]]["inputs"]["picks"] = "\n".join([*picks, "take"])
    run = served.run(prompt)
    assert run.error is None
    assert "Taken: learned 2." in "\n".join(text for key in prompt for text in run.texts(key))
    image = picture(served, run, node_of["SaveImage"])
    assert len(image.getcolors(image.size[0] * image.size[1])) > 100


def test_train_merge(served):
    prompt, node_of, run = execute(served, "k-lora-train-merge")
    assert run.error is None
    texts = "\n".join(text for key in prompt for text in run.texts(key))
    assert f"taught (columns and rows, this pack's own way): learn both, steps {STEPS}" in texts
    assert "plain sum at 0.7" in texts and "what was learned" in texts
    image = picture(served, run, node_of["SaveImage"])
    assert len(image.getcolors(image.size[0] * image.size[1])) > 100
    assert run.images(node_of["LossGraphNode"])
