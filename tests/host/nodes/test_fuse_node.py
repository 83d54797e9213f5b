"""The nodes themselves: what they score, what they refuse, what they show."""

from __future__ import annotations

import os

import folder_paths
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from klora_core import picture, plan_file
from klora_core.progress import in_steps
from tests.support.host.nodes import UNET_LAYERS, baked, fuse, part
from tests.support.host.reference import random_lora

ATTENTION = UNET_LAYERS[0]
KEYS = (f"diffusion_model.{ATTENTION}.lora_A.weight", f"diffusion_model.{ATTENTION}.lora_B.weight")


@pytest.fixture
def scored(pack, monkeypatch):
    """The number of slots of each scoring, in order, with a cache that knows nothing yet."""
    node, calls = part(pack, "nodes.host.scoring"), []
    score = node.score
    node.TOP_K.clear()
    part(pack, "nodes.composing").SETS.clear()
    monkeypatch.setattr(
        node, "score", lambda requests, *a: calls.append(len(requests)) or score(requests, *a)
    )
    return calls


@pytest.fixture
def loras_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    return tmp_path


def test_a_pair_is_scored_once(pack, sd15, pair, scored):
    for options in (
        {},
        {"balance": 0.5},
        {"schedule": {"schedule": "s*", "alpha": 1.2, "beta": 0.9}},
        {"gamma": "reference"},
        {"subject_strength": 0.3},
        {"layers": "attention"},
        {"progress": "noise level", "other_layers": "drop"},
    ):
        fuse(pack, sd15.model, *pair, **options)
    assert scored == [2 * len(UNET_LAYERS)]
    fuse(pack, sd15.model, pair[1], pair[0])
    fuse(pack, sd15.model, {k: v.clone() for k, v in pair[0].items()}, pair[1])
    assert len(scored) == 1, "the same contents in another order, or in other tensors, are known"
    fuse(pack, sd15.model, {**pair[0], KEYS[1]: 2 * pair[0][KEYS[1]]}, pair[1])
    assert scored[1:] == [1], "what changed is scored, and nothing else"


def test_what_the_loser_does_outside_is_worked_out_once(pack, sd15, pair, monkeypatch):
    shared = part(pack, "klora_core.deltas").SharedInputs(1 << 28)
    monkeypatch.setattr(part(pack, "klora_core.methods.klora.outside"), "SHARED", shared)
    for options in ({}, {"balance": 0.5}, {"outside": 1.0}, {"subject_strength": 0.3}, {"gamma": "none"}):
        fuse(pack, sd15.model, *pair, loser="outside", **options)
    assert shared.misses == 2 * len(UNET_LAYERS), "each leader against the other, once"
    fuse(pack, sd15.model, {**pair[0], KEYS[0]: 2 * pair[0][KEYS[0]]}, pair[1], loser="outside")
    assert shared.misses == 2 * len(UNET_LAYERS) + 2, "what changed, and nothing else"


def test_another_file_under_the_same_stamp_is_another_lora(pack, sd15, pair, scored, loras_folder):
    load = part(pack, "nodes").KLoRALoadPair
    paths = [loras_folder / name for name in ("a.safetensors", "b.safetensors")]
    for path, lora in zip(paths, pair, strict=True):
        save_file(lora, path)
    for _ in range(2):
        before = fuse(pack, sd15.model, *load.execute("a.safetensors", "b.safetensors").result[:2])
    assert len(scored) == 1
    stamp = paths[0].stat()
    # Another size of every second row: a file as long, with other scores.
    other = {k: v.clone() for k, v in pair[0].items()}
    for key, tensor in other.items():
        if "lora_B" in key:
            tensor[::2] *= 2
    save_file(other, paths[0])
    os.utime(paths[0], ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert paths[0].stat().st_size == stamp.st_size and paths[0].stat().st_mtime_ns == stamp.st_mtime_ns
    after = fuse(pack, sd15.model, *load.execute("a.safetensors", "b.safetensors").result[:2])
    fresh = fuse(pack, sd15.model, other, pair[1])
    assert after.plan.method == fresh.plan.method != before.plan.method


def test_tensors_changed_in_place_are_scored_again(pack, sd15, pair, scored):
    mine = {k: v.clone() for k, v in pair[0].items()}
    before = fuse(pack, sd15.model, mine, pair[1]).plan
    mine[KEYS[1]].mul_(3)
    after = fuse(pack, sd15.model, mine, pair[1]).plan
    assert after.method != before.method
    assert (
        after.method == fuse(pack, sd15.model, {k: v.clone() for k, v in mine.items()}, pair[1]).plan.method
    )


def test_the_loader_notices_another_file(pack, pair, loras_folder):
    load = part(pack, "nodes").KLoRALoadPair
    for name, lora in zip(("a.safetensors", "b.safetensors"), pair, strict=True):
        save_file(lora, loras_folder / name)
    before = load.fingerprint_inputs("a.safetensors", "b.safetensors")
    save_file({**pair[0], "note": torch.zeros(3)}, loras_folder / "a.safetensors")
    assert load.fingerprint_inputs("a.safetensors", "b.safetensors") != before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"schedule": "s-star"},
            "Use one of s, s*, or np-lora, for both all the time: unknown schedule 's-star'",
        ),
        ({"schedule": {"alpha": 1.0}}, "schedule must be one of s, s*"),
        ({"schedule": None}, "schedule must be one of s, s*"),
        ({"schedule": 3}, "schedule must be one of s, s*"),
        ({"schedule": {"schedule": "s", "alpha": "much"}}, "alpha must be a finite number"),
        ({"subject_strength": float("nan")}, "subject_strength must be a finite number"),
        ({"style_strength": float("inf")}, "style_strength must be a finite number"),
        ({"balance": float("nan")}, "balance must be a finite number"),
        ({"gamma": "papers"}, ": unknown gamma mode"),
        ({"progress": "Steps"}, ": unknown progress"),
        ({"other_layers": "lose"}, "other layers"),
        ({"layers": "all"}, ": unknown choice of layers"),
    ],
)
def test_bad_settings_by_the_api_are_one_clear_line(pack, sd15, pair, options, words):
    with pytest.raises(ValueError) as caught:
        fuse(pack, sd15.model, *pair, **options)
    assert type(caught.value).__name__ == "KLoraError"
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_schedule_by_its_bare_name(pack, sd15, pair):
    assert fuse(pack, sd15.model, *pair, schedule="s*").plan == (
        fuse(pack, sd15.model, *pair, schedule={"schedule": "s*", "alpha": 1.5, "beta": 1.3}).plan
    )


def test_the_same_lora_twice_is_said(pack, sd15, pair):
    same = fuse(pack, sd15.model, pair[0], {k: v.clone() for k, v in pair[0].items()})
    assert "Warning: subject and style are the same LoRA" in same.report
    assert "same LoRA" not in fuse(pack, sd15.model, *pair).report


def test_a_lora_that_the_model_already_carries_is_said(pack, sd15, pair):
    carried = baked(sd15.model, named(pack, pair[1], "ink.safetensors"))
    found = fuse(pack, carried, pair[0], named(pack, pair[1], "ink.safetensors"))
    assert "Warning: the model that comes in has ink.safetensors applied already" in found.report
    assert found.plan.to_json(3)["warnings"] == list(found.plan.warnings) != []
    assert "applied already" not in fuse(pack, baked(sd15.model, pair[1], 0.0), *pair).report
    assert "applied already" not in fuse(pack, baked(sd15.model, pair[1]), pair[0], pair[0]).report


def test_loras_of_another_base_than_the_models_are_said(pack, sd15, pair):
    # SD1.5 and SD2 have the same first attention: there the header tells.
    open_to_both = {key: tensor for key, tensor in pair[0].items() if f"{ATTENTION}." in key}

    def of(base):
        metadata = {"modelspec.architecture": f"{base}/lora"} if base else {}
        return part(pack, "nodes.loras.file").LoraStateDict(open_to_both, "x.safetensors", metadata)

    def said(base):
        return fuse(pack, sd15.model, of(base), pair[1]).plan.warnings

    (line,) = said("stable-diffusion-v2")
    assert line.startswith("subject was made for SD2, the model is SD1.5:")
    assert said("stable-diffusion-v1") == said("") == ()


def refusal(pack, sd15, subject, style):
    with pytest.raises(ValueError) as caught:
        fuse(pack, sd15.model, subject, style)
    assert type(caught.value).__name__ == "KLoraError"
    return str(caught.value)


def named(pack, tensors, file):
    return part(pack, "nodes.loras.file").LoraStateDict(tensors, file)


def test_a_lora_of_another_base_model(pack, sd15, pair):
    foreign = {"lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": torch.ones(9, 1)}
    foreign["lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"] = torch.ones(1, 3)
    text = refusal(pack, sd15, pair[0], named(pack, foreign, "flux-style.safetensors"))
    assert text.startswith(
        "Choose a LoRA made for SD1.5: flux-style.safetensors: made for another base model"
    )
    assert "none of its 1 layers exists in this model" in text
    assert "lora_unet_double_blocks_0_img_attn_qkv" in text


def test_a_lora_of_the_same_names_in_other_sizes(pack, sd15, pair):
    text = refusal(pack, sd15, {KEYS[0]: torch.ones(2, 640), KEYS[1]: torch.ones(640, 2)}, pair[1])
    assert ATTENTION in text and "640 x 640 in the LoRA and 320 x 320 in the model" in text


def test_loras_without_a_shared_layer(pack, sd15):
    subject, style = (random_lora(sd15.model.model, [layer], 2, 1) for layer in UNET_LAYERS[:2])
    assert "share no layer" in refusal(pack, sd15, subject, style)


def test_a_factor_without_its_counterpart(pack, sd15, pair):
    text = refusal(pack, sd15, {k: v for k, v in pair[0].items() if k != KEYS[0]}, pair[1])
    assert f"layer diffusion_model.{ATTENTION} has up but no down" in text


def test_values_that_are_not_finite(pack, sd15, pair):
    broken = {**pair[0], KEYS[1]: torch.full_like(pair[0][KEYS[1]], float("nan"))}
    assert "NaN" in refusal(pack, sd15, broken, pair[1])


@pytest.mark.parametrize(
    ("tensors", "kind"),
    [
        ({f"diffusion_model.{ATTENTION}.oft_R.weight": torch.ones(320, 1)}, "PEFT's OFT"),
        (
            {f"diffusion_model.{ATTENTION}.reshape_weight": torch.tensor([320, 640])},
            "changes the layer's size",
        ),
    ],
)
def test_kinds_that_cant_be_used_cost_their_layer(pack, sd15, pair, tensors, kind):
    report = fuse(pack, sd15.model, {**pair[0], **tensors}, pair[1]).report
    (line,) = [line for line in report.splitlines() if "plain LoRA" in line]
    assert (
        line.strip().startswith("subject: 1 layer, NOT applied: it is ")
        and kind in line
        and ATTENTION in line
    )
    alone = {key: tensor for key, tensor in {**pair[0], **tensors}.items() if f".{ATTENTION}." in key}
    text = refusal(pack, sd15, named(pack, alone, "odd.safetensors"), pair[1])
    assert text.startswith("Use a plain LoRA") and kind in text and ATTENTION in text
    assert ": odd.safetensors: layer " in text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"no tensors here, and long enough for a header", "can't be read"),
        ({"first_stage_model.encoder.conv_in.weight": torch.ones(4, 3)}, "holds no LoRA"),
    ],
)
def test_files_that_are_no_loras(pack, loras_folder, content, text):
    path = loras_folder / "odd.safetensors"
    path.write_bytes(content) if isinstance(content, bytes) else save_file(content, path)
    with pytest.raises(ValueError, match=text) as caught:
        part(pack, "nodes").KLoRALoadLora.execute("odd.safetensors")
    assert "odd.safetensors" in str(caught.value)


def test_a_truncated_file(pack, pair, loras_folder):
    path = loras_folder / "cut.safetensors"
    save_file(dict(pair[0]), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"^Download it again: LoRA file 'cut.safetensors' can't be read"):
        part(pack, "nodes").KLoRALoadLora.execute("cut.safetensors")


def test_unknown_layers_are_reported(pack, sd15, pair):
    more = {"lora_unet_no_such_layer.lora_up.weight": torch.ones(4, 1)}
    more["lora_unet_no_such_layer.lora_down.weight"] = torch.ones(1, 4)
    report = fuse(pack, sd15.model, {**pair[0], **more}, pair[1]).report
    assert (
        "1 layer that this model does not have, NOT applied" in report and "lora_unet_no_such_layer" in report
    )


def test_the_selection_map_is_the_picture_of_the_plan(pack, sd15, pair):
    fused = fuse(pack, sd15.model, *pair)
    image = part(pack, "nodes").KLoRASelectionMap.execute(fused.plan, 12).result[0]
    here = plan_file.from_json(fused.plan.to_json(12))
    expected = np.asarray(picture.draw(here, in_steps(12)))
    assert image.shape == (1, *expected.shape)
    assert np.array_equal((image[0].numpy() * 255).round().astype(np.uint8), expected)
