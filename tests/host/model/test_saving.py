"""What is made of a fused model without the fusion is said in the log, once a file, and of no other model."""

from __future__ import annotations

import gc
import weakref

import comfy.sd
import folder_paths
import pytest
import torch
from comfy_extras.nodes_attention_multiply import UNetSelfAttentionMultiply
from comfy_extras.nodes_lora_extract import LoraSave
from comfy_extras.nodes_model_merging import ModelMergeSimple, ModelSubtract
from safetensors.torch import load_file

from tests.support.host.nodes import compose, fuse, lora_set, relative

CHECKPOINT = "this file will not hold the fusion"
LORA = "a LoRA that is saved of this model will not hold the fusion"
MERGED = "what another model takes over or subtracts of this one will not hold the fusion"


@pytest.fixture
def said(caplog):
    """How often each was said since the last call."""

    def count():
        found = [caplog.text.count(each) for each in (CHECKPOINT, LORA, MERGED)]
        caplog.clear()
        return found

    return count


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """`saved(model)` -> the LoRA that core extracts of a difference."""
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))

    def save(model):
        LoraSave.execute("lora", 4, "full_diff", False, model_diff=model)
        (path,) = tmp_path.glob("*.safetensors")
        tensors = load_file(path)
        path.unlink()
        return tensors

    return save


def test_a_checkpoint(pack, sd15, pair, tmp_path, said):
    fused = fuse(pack, sd15.model, *pair)
    comfy.sd.save_checkpoint(str(tmp_path / "base.safetensors"), sd15.model)
    assert said() == [0, 0, 0]
    comfy.sd.save_checkpoint(str(tmp_path / "fused.safetensors"), fused.model)
    assert said() == [1, 0, 0]
    comfy.sd.save_checkpoint(str(tmp_path / "base.safetensors"), sd15.model)
    assert said() == [0, 0, 0], "nothing is left on the model"


def test_a_lora_of_the_difference(pack, sd15, pair, saved, said):
    fused = fuse(pack, sd15.model, *pair)
    (difference,) = ModelSubtract().merge(fused.model, sd15.model, 1.0)
    assert said() == [0, 0, 0]
    for _ in range(2):
        assert not any(tensor.any() for tensor in saved(difference).values())
        assert said() == [0, 1, 0], "also where the model is loaded already"
    for report in (fused.report, compose(pack, sd15.model, _set(pack, pair), "LoRA Switch").report):
        for node in ("CheckpointSave", "ModelSave", "LoraSave", "ModelMerge"):
            assert node in report


def test_the_other_way_round_and_in_a_merge(pack, sd15, pair, saved, said):
    fused = fuse(pack, sd15.model, *pair).model
    (difference,) = ModelSubtract().merge(sd15.model, fused, 1.0)
    assert said() == [0, 0, 1]
    saved(difference)
    assert said() == [0, 0, 0]
    ModelMergeSimple().merge(sd15.model, fused, 0.5)
    assert said() == [0, 0, 1]
    (kept,) = ModelMergeSimple().merge(fused, sd15.model, 0.5)
    assert said() == [0, 0, 0], "the fusion goes on in it"
    saved(ModelSubtract().merge(kept, sd15.model, 1.0)[0])
    assert said() == [0, 1, 0]


def _set(pack, pair):
    return lora_set(pack, (pair[0], "subject", 1.0), (pair[1], "style", 1.0))


def test_a_fusion_of_a_fusion_says_it_once(pack, sd15, pair, saved, said):
    twice = fuse(pack, fuse(pack, sd15.model, *pair).model.clone(), *pair).model.clone()
    saved(ModelSubtract().merge(twice, sd15.model, 1.0)[0])
    assert said() == [0, 1, 0]


def test_who_only_looks_at_the_weights_is_told_nothing(pack, sd15, sd15_conds, pair, sample, saved, said):
    fused = fuse(pack, sd15.model, *pair).model
    multiplied = UNetSelfAttentionMultiply.execute(fused, 1.0, 1.0, 1.0, 1.0).result[0]
    # A DoRA is worked out with the weights of the model that comes in.
    layer = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q"
    rows = pair[0][f"{layer}.lora_B.weight"].shape[0]
    dora = {**pair[0], f"{layer}.dora_scale": torch.ones(rows, 1)}
    fuse(pack, fused, dora, pair[1])
    assert relative(sample(multiplied, *sd15_conds), sample(fused, *sd15_conds)) < 1e-3
    saved(ModelSubtract().merge(sd15.model.clone(), sd15.model, 1.0)[0])
    assert said() == [0, 0, 0]
    nothing = fuse(pack, sd15.model, *pair, subject_strength=0.0, style_strength=0.0).model
    saved(ModelSubtract().merge(nothing, sd15.model, 1.0)[0])
    assert said() == [0, 0, 0], "there is no fusion"


def test_a_model_that_nobody_uses_goes_at_once(pack, sd15, pair):
    gc.disable()
    try:
        fused = fuse(pack, sd15.model, *pair).model
        gone = weakref.ref(fused.clone())
        assert gone() is None
    finally:
        gc.enable()
