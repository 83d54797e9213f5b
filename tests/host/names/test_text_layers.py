"""Text layers go to the CLIP that has them, under every prefix, and are no layers of the diffusion model."""

from __future__ import annotations

import re

import pytest
import torch

from klora_core import files
from klora_core.errors import KLoraError
from klora_core.files import What
from tests.host.names.test_names_of_networks import ENCODERS
from tests.support.host.lora_accounts import accounted, lora
from tests.support.host.nodes import fuse, part, unet_pair

CLIP = "text_model.encoder.layers.0.mlp.fc1"
SIZES = {"mlp.fc1": (3072, 768), "self_attn.q_proj": (768, 768)}
PREFIXES = (
    *(
        "lora_te1.",
        "lora_te.",
        "text_encoder.",
        "te1.",
        "clip_l.",
        "clip_l.transformer.",
        "model.text_encoder.",
    ),
    *(
        "pipe.text_encoder.",
        "text_encoder._orig_mod.",
        "module.text_encoder.",
        "text_encoder.base_model.model.",
    ),
    *("text_encoders.clip_l.", "cond_stage_model.transformer.", "conditioner.embedders.0.transformer.", ""),
    *(
        "lora_te1_",
        "lora_te_",
        "te_",
        "lycoris_",
        "lycoris_text_encoder_",
        "lora_clip_",
        "lora_unet_lora_te1_",
    ),
)


def text(prefix, path=CLIP):
    layer = path.split("layers.0.")[-1]
    return lora(prefix + (path.replace(".", "_") if prefix.endswith("_") else path), *SIZES[layer])


@pytest.fixture(scope="module")
def subject(_sd15):
    return unet_pair(_sd15.model.model)[0]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_text_layer_is_a_patch_of_clip_and_never_a_slot(pack, sd15, subject, prefix):
    tensors = {**subject, **text(prefix), **text(prefix, CLIP.replace("mlp.fc1", "self_attn.q_proj"))}
    layers = files.from_tensors("odd.safetensors", subject).slots.keys()
    found = accounted(pack, tensors, sd15.model, sd15.clip)
    assert found.left == () and {slot.name for slot in found.slots} == {slot.name for slot in layers}
    assert set(found.clip) == {
        f"clip_l.transformer.text_model.encoder.layers.0.{layer}.weight" for layer in SIZES
    }
    core = files.from_tensors("odd.safetensors", tensors)
    assert core.slots.keys() == layers
    assert [item.what for item in core.left] == [What.TEXT] * 2


@pytest.mark.parametrize(
    "raw",
    [
        *(
            f"{other}.{CLIP}"
            for other in ("clip_g", "te2", "lora_te2", "text_encoder_2", "pipe.text_encoder_2")
        ),
        *("t5.encoder.block.0.layer.0.SelfAttention.q", "umt5xxl.transformer.encoder.block.0.layer.1.wi"),
        *("qwen25_7b.transformer.model.layers.0.mlp.up_proj", "llama.model.layers.0.mlp.up_proj"),
        f"text_encoder.{CLIP.replace('.0.', '.99.')}",
    ],
)
def test_a_text_layer_that_clip_lacks_is_left_as_one(pack, sd15, subject, raw):
    for clip, reason in ((sd15.clip, "this CLIP does not have them"), (None, "connect clip to apply them")):
        found = accounted(pack, {**subject, **lora(raw, 3072, 768)}, sd15.model, clip)
        (left,) = found.left
        assert (left.name, left.reason) == (raw, reason) and found.text == (raw,) and not found.clip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_pair_of_text_alone_is_refused_by_both_doors(pack, sd15, prefix):
    with pytest.raises(KLoraError, match="changes only the text encoder, so there is nothing to fuse"):
        files.from_tensors("odd.safetensors", text(prefix))
    with pytest.raises(ValueError, match="it changes the text encoder alone, nothing to fuse in the model"):
        fuse(pack, sd15.model, text(prefix), text(prefix), clip=sd15.clip)


def encoder_of(pack, kind):
    return part(pack, "nodes.host.text_encoders").TextEncoders(
        ENCODERS[kind](device="meta", dtype=torch.float16)
    )


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_weight_of_an_encoder_is_found_by_the_hosts_name_and_by_shorter_ones(pack, kind):
    encoder = encoder_of(pack, kind)
    for key in encoder.shapes:
        top, _, path = key.removesuffix(".weight").partition(".transformer.")
        if not key.endswith(".weight") or not path:
            continue
        for raw in (f"{top}.transformer.{path}", f"{top}.{path}", f"text_encoders.{top}.{path}"):
            assert encoder.weight(raw) == key, raw
        assert encoder.weight(f"model.{top}._orig_mod.{re.sub('^model[.]', '', path)}") == key


@pytest.mark.parametrize(
    ("kind", "raw", "key"),
    [
        ("sdxl", f"text_encoder.{CLIP}", "clip_l"),
        ("sdxl", f"lora_te1.{CLIP}", "clip_l"),
        ("sdxl", f"lora_te2.{CLIP}", "clip_g"),
        ("sdxl", f"pipe.text_encoder_2.{CLIP}", "clip_g"),
        ("sdxl", f"conditioner.embedders.1.{CLIP}", "clip_g"),
        # Fewer layers than the other's: not its.
        ("sdxl", f"text_encoder.{CLIP.replace('.0.', '.20.')}", None),
        ("sdxl", f"lora_te3.{CLIP}", None),
        ("sd2", f"lora_te.{CLIP}", "clip_h"),
        ("cascade", f"te.{CLIP}", "clip_g"),
        ("sd3", "lora_te3.encoder.block.0.layer.0.SelfAttention.q", "t5xxl"),
        ("sd3", "text_encoder_3.encoder.block.0.layer.0.SelfAttention.q", "t5xxl"),
        ("flux", "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q", "t5xxl"),
        ("flux", "t5.encoder.block.0.layer.0.SelfAttention.q", "t5xxl"),
        ("flux", "umt5xxl.encoder.block.0.layer.0.SelfAttention.q", None),
        ("flux", "text_encoder_two.encoder.block.0.layer.0.SelfAttention.q", None),
        ("pixart", "T5_XXL.encoder.block.0.layer.0.SelfAttention.q", "t5xxl"),
        ("pixart", "base_model.model.encoder.block.0.layer.0.SelfAttention.q", "t5xxl"),
        ("anima", "qwen3_06b.model.layers.0.self_attn.q_proj", "qwen3_06b"),
        ("anima", "text_encoder.model.language_model.layers.0.self_attn.q_proj", "qwen3_06b"),
        ("anima", "qwen3_4b.model.layers.0.self_attn.q_proj", None),
    ],
)
def test_which_encoder(pack, kind, raw, key):
    found = encoder_of(pack, kind).weight(raw)
    assert (found and found.split(".")[0]) == key
