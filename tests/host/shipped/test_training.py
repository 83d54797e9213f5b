"""The templates that learn, executed by the real server: what was learned is saved, and a picture by it."""

from __future__ import annotations

import pytest

from tests.support.host.shipped_runs import STEPS, execute, painted, said


def test_train_lora(served):
    prompt, node_of, run = execute(served, "k-lora-train-lora")
    texts = said(prompt, run)
    assert f"CoTo (CoTo, arXiv 2506.05713): 56 layers of rank 16, {STEPS} steps" in texts
    assert "before" in texts and "after" in texts
    painted(served, run, node_of["SaveImage"])
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
    assert "Taken: learned 2." in said(prompt, run)
    painted(served, run, node_of["SaveImage"])


def test_train_merge(served):
    prompt, node_of, run = execute(served, "k-lora-train-merge")
    texts = said(prompt, run)
    assert f"taught (columns and rows, this pack's own way): learn both, steps {STEPS}" in texts
    assert "plain sum at 0.7" in texts and "what was learned" in texts
    painted(served, run, node_of["SaveImage"])
    assert run.images(node_of["LossGraphNode"])
