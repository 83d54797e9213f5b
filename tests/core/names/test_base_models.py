"""The base model of a LoRA by name, from its layers and from what trainers write into files."""

from __future__ import annotations

import json

import pytest

from klora_core.names import BaseModel, base_model_of, is_understood, words_of

_LAYERS = {
    "SD1.5": {"input_blocks.1.1.transformer_blocks.0.attn2.to_k": (320, 768)},
    "SD2": {"input_blocks.1.1.transformer_blocks.0.attn2.to_k": (320, 1024)},
    "SDXL": {"down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k": (640, 2048)},
    "SDXL refiner": {"input_blocks.4.1.transformer_blocks.0.attn2.to_v": (768, 1280)},
    "Stable Cascade": {"down_blocks.0.2.attention.attn.to_q": (1536, 1536)},
    "FLUX": {"single_transformer_blocks.3.norm.linear": (9216, 3072)},
    "FLUX or Chroma": {"transformer_blocks.3.ff_context.net.0.proj": (12288, 3072)},
    "FLUX.2": {"single_transformer_blocks.3.attn.to_qkv_mlp_proj": (27648, 3072)},
    "Chroma": {
        "distilled_guidance_layer.in_proj": (5120, 64),
        "double_blocks.0.img_attn.qkv": (9216, 3072),
    },
    "HunyuanVideo": {
        "double_blocks.3.img_mlp.fc1": (12288, 3072),
        "double_blocks.3.img_attn_qkv": (9216, 3072),
    },
    "HunyuanVideo 1.5": {"double_blocks.3.img_attn_q": (2048, 2048)},
    "HunyuanImage": {"double_blocks.3.img_attn_qkv": (10752, 3584)},
    "SD3": {"joint_blocks.0.x_block.attn.qkv": (4608, 1536)},
    "Z-Image": {"layers.3.attention.to_q": (3840, 3840)},
    "Lumina 2": {"layers.3.attn.to_k": (768, 2304)},
    "OmniGen 2": {"layers.3.attn.to_q": (2520, 2520)},
    "Qwen-Image": {"transformer_blocks.59.attn.to_q": (3072, 3072)},
    "HiDream": {"double_stream_blocks.3.block.attn1.to_q": (2560, 2560)},
    "Wan": {"blocks.3.attn1.to_q": (5120, 5120)},
    "HunyuanDiT": {"blocks.3.attn1.to_q": (1408, 1408)},
    "LTX-Video": {"transformer_blocks.3.attn2.to_k": (2048, 2048)},
    "LTX-2": {"transformer_blocks.3.audio_attn1.to_q": (2048, 2048)},
    "CogVideoX": {"transformer_blocks.3.attn1.to_q": (3072, 3072)},
    "Mochi": {"transformer_blocks.3.attn1.add_q_proj": (3072, 1536)},
    "PixArt": {"transformer_blocks.3.attn1.to_q": (1152, 1152)},
    "Krea 2": {"blocks.3.attn.wq": (6144, 6144)},
    "Anima": {
        "blocks.3.self_attn.q_proj": (2048, 2048),
        "llm_adapter.blocks.0.self_attn.q_proj": (1024, 1024),
    },
    "Cosmos Predict 2 or Anima": {"blocks.3.self_attn.q_proj": (2048, 2048)},
}


@pytest.mark.parametrize("name", _LAYERS)
def test_by_its_layers(name):
    assert words_of(base_model_of(_LAYERS[name])) == name
    assert is_understood(_LAYERS[name])


@pytest.mark.parametrize(
    "block", ["single_blocks.{}.linear1", "single_transformer_blocks.{}.attn.to_qkv_mlp_proj"]
)
def test_flux2_dev_has_the_single_blocks_that_tell_hunyuan_video_from_flux(block):
    assert words_of(base_model_of({block.format(i): (55296, 6144) for i in range(48)})) == "FLUX.2"
    assert words_of(base_model_of({f"single_blocks.{i}.linear1": (21504, 3072) for i in range(40)})) == (
        "HunyuanVideo"
    )


@pytest.mark.parametrize(
    "shapes",
    [{}, {"mystery.3.thing": (8, 8)}, {"transformer_blocks.3.attn.to_q": (2560, 2560)}],
)
def test_what_tells_nothing(shapes):
    assert base_model_of(shapes) is None and not is_understood(shapes)


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("ss_base_model_version", "sdxl_base_v1-0", "SDXL"),
        ("ss_base_model_version", "sd_v1", "SD1.5"),
        ("ss_base_model_version", "sd_1.5", "SD1.5"),
        ("ss_base_model_version", "flux2_klein_9b", "FLUX.2"),
        ("ss_base_model_version", "flux1", "FLUX"),
        ("ss_base_model_version", "zimage", "Z-Image"),
        ("modelspec.architecture", "stable-diffusion-xl-v1-base/lora", "SDXL"),
        ("modelspec.architecture", "stable-diffusion-3.5-medium/lora", "SD3"),
        ("modelspec.architecture", "Flux.1-dev/lora", "FLUX"),
        ("modelspec.architecture", "hunyuan-video-1.5/lora", "HunyuanVideo 1.5"),
        ("modelspec.architecture", "hunyuan-image-2.1/lora", "HunyuanImage"),
        ("modelspec.architecture", "wan2.1/lora", "Wan"),
        ("ot_config", json.dumps({"model_type": "STABLE_DIFFUSION_XL_10_BASE"}), "SDXL"),
        ("ot_config", json.dumps({"model_type": "CHROMA_1"}), "Chroma"),
        (
            "lora_adapter_metadata",
            json.dumps({"transformer.base_model_name_or_path": "Tongyi-MAI/Z-Image-Turbo"}),
            "Z-Image",
        ),
        ("ot_config", "no JSON", None),
        ("ot_config", "[]", None),
        ("ss_base_model_version", "", None),
        ("ss_base_model_version", "another one", None),
    ],
)
def test_by_what_a_trainer_wrote(key, value, name):
    assert words_of(base_model_of({}, {key: value})) == name


def test_the_layers_are_right_where_the_metadata_says_otherwise():
    assert words_of(base_model_of(_LAYERS["SD1.5"], {"ss_base_model_version": "flux1"})) == "SD1.5"
    assert words_of(base_model_of(_LAYERS["FLUX"], {"ss_base_model_version": "chroma"})) == "Chroma"
    assert (
        words_of(
            base_model_of(_LAYERS["Cosmos Predict 2 or Anima"], {"modelspec.architecture": "anima-preview"})
        )
        == "Anima"
    )


@pytest.mark.parametrize(
    ("base", "model", "one"),
    [
        (("FLUX",), ("FLUX",), True),
        (("FLUX", "Chroma"), ("Chroma",), True),
        (("FLUX",), ("FLUX", "Chroma"), True),
        (("SDXL",), ("FLUX", "Chroma"), False),
        (("SD1.5",), ("SDXL",), False),
        # A name that holds the word is one name.
        (("FLUX or Chroma",), ("Chroma",), False),
    ],
)
def test_what_may_be_one_of_two_fits_either(base, model, one):
    assert BaseModel(base).fits(BaseModel(model)) is one
    if len(model) == 1:
        assert BaseModel(base).fits(model[0]) is one
    assert str(BaseModel(base)) == " or ".join(base)
