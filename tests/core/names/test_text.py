"""Text encoders' modules are known as such, with the encoder that their names tell; no network's are."""

from __future__ import annotations

import pytest

from klora_core import names
from klora_core.names import TextModule, text_module

CLIP, FLAT = "text_model.encoder.layers.3.mlp.fc1", "text_model_encoder_layers_3_mlp_fc1"
T5, LLM = "encoder.block.0.layer.0.SelfAttention.q", "model.layers.0.self_attn.q_proj"
FOUND = {
    # By place, in the prefixes of kohya, OneTrainer, ai-toolkit, SimpleTuner, diffusers and PEFT.
    f"lora_te_{FLAT}": TextModule(FLAT),
    f"lora_te1_{FLAT}": TextModule(FLAT, place=1),
    f"lora_te1.{CLIP}": TextModule(CLIP, place=1),
    f"lora_te.{CLIP}": TextModule(CLIP),
    f"lora_te_2.{CLIP}": TextModule(CLIP, place=2),
    f"lora_prior_te_{FLAT}": TextModule(FLAT),
    f"lora_te_text_encoder_{FLAT}": TextModule(FLAT),
    f"lora_te1_text_encoder_{FLAT}": TextModule(FLAT, place=1),
    f"lora_te_text_encoder_2_{FLAT}": TextModule(FLAT, place=2),
    "lora_te3_encoder_block_0_layer_0_SelfAttention_q": TextModule(
        "encoder_block_0_layer_0_SelfAttention_q", place=3
    ),
    f"te2.{CLIP}": TextModule(CLIP, place=2),
    f"te2_{FLAT}": TextModule(FLAT, place=2),
    f"lycoris_te1_{FLAT}": TextModule(FLAT, place=1),
    f"lycoris_text_encoder_2_{FLAT}": TextModule(FLAT, place=2),
    f"lora_text_encoder_{FLAT}": TextModule(FLAT),
    f"text_encoder.{CLIP}": TextModule(CLIP),
    f"text_encoder_2.base_model.model.{CLIP}": TextModule(f"base_model.model.{CLIP}", place=2),
    f"text_encoder_3.{T5}": TextModule(T5, place=3),
    f"textencoder.{CLIP}": TextModule(CLIP),
    f"model.text_encoder.{CLIP}": TextModule(CLIP),
    f"pipe.text_encoder_2.{CLIP}": TextModule(CLIP, place=2),
    f"module.text_encoder._orig_mod.{CLIP}": TextModule(CLIP),
    f"conditioner.embedders.0.transformer.{CLIP}": TextModule(f"transformer.{CLIP}", place=1),
    f"conditioner.embedders.1.model.{LLM}": TextModule(f"model.{LLM}", place=2),
    f"cond_stage_model.transformer.{CLIP}": TextModule(f"transformer.{CLIP}"),
    # By network, in ComfyUI's own names, in OMI's and in others.
    f"clip_l.transformer.{CLIP}": TextModule(f"transformer.{CLIP}", "clip_l"),
    f"clip_g.{CLIP}": TextModule(CLIP, "clip_g"),
    f"cond_stage_model.clip_l.{CLIP}": TextModule(CLIP, "clip_l"),
    f"text_encoders.clip_l.transformer.{CLIP}": TextModule(f"transformer.{CLIP}", "clip_l"),
    f"text_encoders.qwen25_7b.transformer.{LLM}": TextModule(f"transformer.{LLM}", "qwen25_7b"),
    f"t5.{T5}": TextModule(T5, "t5"),
    f"T5.{T5}": TextModule(T5, "T5"),
    f"t5xxl.transformer.{T5}": TextModule(f"transformer.{T5}", "t5xxl"),
    f"umt5xxl.transformer.{T5}": TextModule(f"transformer.{T5}", "umt5xxl"),
    f"lora_t5_{T5.replace('.', '_')}": TextModule(T5.replace(".", "_"), "t5"),
    f"lora_clip_{FLAT}": TextModule(FLAT, "clip"),
    f"qwen3_4b.{LLM}": TextModule(LLM, "qwen3_4b"),
    f"qwen2_5_vl.{LLM}": TextModule(LLM, "qwen2_5_vl"),
    f"llama.transformer.{LLM}": TextModule(f"transformer.{LLM}", "llama"),
    f"gemma2_2b.{LLM}": TextModule(LLM, "gemma2_2b"),
    f"mistral3_24b.{LLM}": TextModule(LLM, "mistral3_24b"),
    "lora_unet_t5xxl_transformer_encoder_block_0": TextModule("transformer_encoder_block_0", "t5xxl"),
    # What no diffusion model has.
    CLIP: TextModule(CLIP),
    f"base_model.model.{CLIP}": TextModule(CLIP),
    f"lycoris_{FLAT}": TextModule(FLAT),
    f"base_model.model.{T5}": TextModule(T5),
    "transformer.resblocks.0.mlp.c_fc": TextModule("transformer.resblocks.0.mlp.c_fc"),
    # Written by merge of older versions of this pack.
    f"lora_unet_lora_te1_{FLAT}": TextModule(FLAT, place=1),
    # Deep inside.
    f"whatever.its.text_encoder.{CLIP}": TextModule(CLIP),
    f"lora_unet_model_text_encoder_{FLAT}": TextModule(FLAT),
}


@pytest.mark.parametrize("raw", FOUND)
def test_which_encoders_module_a_name_means(raw):
    assert text_module(raw) == FOUND[raw]
    assert names.is_text_encoder(raw)


@pytest.mark.parametrize(
    "raw",
    [
        *("transformer.text_embedding.0", "t_embedder.mlp.0", "lora_unet_text_embedding_0", "te"),
        *("lycoris_text_fusion_refiner_blocks_0_attn_to_q", "diffusion_model.text_proj"),
        *("lora_unet_clip_txt_mapper", "diffusion_model.clip_img_mapper", "lora_prior_unet_clip_mapper"),
        *("lora_unet_llm_adapter_blocks_0_self_attn_q_proj", "diffusion_model.llm_adapter.blocks.0.mlp.0"),
        *("diffusion_model.llm_cond_proj", "lora_unet_t5_y_embedder_to_q", "diffusion_model.t5_yproj"),
        *("lora_unet_mlp_t5_0", "diffusion_model.byt5_in.fc1", "lora_unet_byt5_in_fc1"),
        *("transformer.text_transformer_blocks.0.self_attention.to_query", "base_model.model.layers.0.mlp"),
        *("diffusion_model.language_model.layers.0.self_attn.q_proj", "lora_unet_time_text_embed_linear_1"),
        *("diffusion_model.lyric_encoder.encoders.0.self_attn.linear_q", "qwen_image.transformer_blocks.0.x"),
        *("conditioner_blocks.0", "clip_blocks.0.attn"),
    ],
)
def test_networks_that_only_sound_like_one(raw):
    assert text_module(raw) is None
