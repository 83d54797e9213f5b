"""The base model by what a trainer wrote, beside what the layers leave."""

from __future__ import annotations

import json

import pytest

from klora_core.names import BaseModel, base_model_of, base_texts, words_of

from .test_base_models import FLUX, LAYERS


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
        (
            "lora_adapter_metadata",
            json.dumps({"unet.base_model_name_or_path": "segmind/SSD-1B"}),
            "SSD-1B",
        ),
        ("ot_config", "no JSON", None),
        ("ot_config", "[]", None),
        ("ss_base_model_version", "", None),
        ("ss_base_model_version", "None", None),
        ("ss_base_model_version", "another one", None),
    ],
)
def test_by_what_a_trainer_wrote(key, value, name):
    assert words_of(base_model_of({}, {key: value})) == name


@pytest.mark.parametrize(
    ("build", "written", "name"),
    [
        ("sd15", "flux1", "SD1.5"),
        ("sd15", "sdxl_base_v1-0", "SD1.5"),
        ("sdxl", "sd_v1", "SDXL"),
        ("sd2", "sdxl_base_v1-0", "SD2 or Stable Video Diffusion"),
        ("sd2", "sd_v2_768_v", "SD2"),
        ("a U-Net's convolutions", "sd_v1", "SDXL or SSD-1B"),
        ("vega", "sdxl_base_v1-0", "SDXL"),
        ("vega", "segmind_vega", "Segmind Vega"),
        ("flux", "chroma", "Chroma"),
        ("flux, modulated", "chroma", "FLUX"),
        ("klein 4b", "flux1", "FLUX.2"),
        ("klein 4b, attention", "flux2_klein_4b", "FLUX.2"),
        ("flux", "flux2_klein_4b", FLUX),
        ("ltx 13b", "ltx2", "LTX-2"),
        ("cosmos 2 or anima", "anima-preview", "Anima"),
        ("cosmos 2 14b", "anima-preview", "Cosmos Predict 2"),
        ("auraflow or flux", "aura_flow", "AuraFlow"),
        ("z-image", "qwen_image", "Z-Image"),
    ],
)
def test_a_text_chooses_among_what_the_layers_leave(build, written, name):
    assert words_of(base_model_of(LAYERS[build][1], {"ss_base_model_version": written})) == name


@pytest.mark.parametrize(
    ("metadata", "texts"),
    [
        ({}, {}),
        (
            {"ss_base_model_version": "None", "modelspec.architecture": " flux "},
            {"modelspec.architecture": "flux"},
        ),
        (
            {"base_model": "x", "modelspec.base_model": "y", "other": "z"},
            {"base_model": "x", "modelspec.base_model": "y"},
        ),
        # A name that is understood, where only a training's settings tell.
        ({"ot_config": '{"model_type": "CHROMA_1"}'}, {"base_model": "Chroma"}),
        ({"ot_config": '{"model_type": "CHROMA_1"}', "base_model": "x"}, {"base_model": "x"}),
        ({"ot_config": '{"model_type": "nobody knows"}'}, {}),
    ],
)
def test_what_a_merged_file_says_of_its_base_model(metadata, texts):
    assert base_texts(metadata) == texts


def test_a_long_text_is_looked_at_from_its_beginning():
    assert base_model_of({}, {"base_model": "x" * 296 + "flux"}) == BaseModel(("FLUX",))
    assert base_model_of({}, {"base_model": "x" * 297 + "flux"}) is None


@pytest.mark.parametrize(
    ("written", "name"), [("flux1", "FLUX"), ("sdxl_base_v1-0", None), ("qwen_image", None)]
)
def test_of_sizes_that_nobody_publishes_the_names_leave_what_has_them(written, name):
    small = {"double_blocks.0.img_attn.qkv": (768, 256)}
    assert words_of(base_model_of(small, {"ss_base_model_version": written})) == name


def test_the_first_text_that_the_layers_allow_is_right():
    texts = {"modelspec.architecture": "stable-diffusion-xl-v1-base", "ss_base_model_version": "chroma"}
    assert words_of(base_model_of(LAYERS["flux"][1], texts)) == "Chroma"
