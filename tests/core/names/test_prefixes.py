"""Wrappers and prefixes are taken off a module's name wherever they stand, and nothing else is."""

from __future__ import annotations

import pytest

from klora_core import names

DOTTED, FLAT = "transformer_blocks.0.attn.to_out.0", "transformer_blocks_0_attn_to_out_0"
WRAPPED = (
    *(f"_orig_mod.{DOTTED}", f"diffusion_model._orig_mod.{DOTTED}", f"_orig_mod.transformer.{DOTTED}"),
    *("transformer.transformer_blocks.0._orig_mod.attn.to_out.0", f"{DOTTED}._orig_mod"),
    *("transformer_blocks._orig_mod.0.attn._orig_mod.to_out.0", f"transformer._orig_mod._orig_mod.{DOTTED}"),
    *(f"module.{DOTTED}", f"module.module.transformer.{DOTTED}", f"transformer.module.{DOTTED}"),
    *(f"_orig_mod.module.{DOTTED}", f"module._orig_mod.unet.{DOTTED}", f"model.module.{DOTTED}"),
    *(f"_fsdp_wrapped_module.{DOTTED}", "transformer_blocks.0._fsdp_wrapped_module.attn.to_out.0"),
    "transformer_blocks.0._checkpoint_wrapped_module.attn.to_out.0",
    *(f"pipe.dit.{DOTTED}", f"pipe.transformer.{DOTTED}", f"pipeline.unet.{DOTTED}", f"dit.{DOTTED}"),
    *(f"net.{DOTTED}", f"model.diffusion_model.{DOTTED}", f"base_model.model.{DOTTED}"),
    *(f"model.{DOTTED}", f"base_model.model.model.{DOTTED}", f"denoiser.{DOTTED}"),
    f"base_model.model.{DOTTED}.base_layer",
)
WRAPPED_FLAT = (
    *(f"lora_unet__orig_mod_{FLAT}", f"lora_unet_orig_mod_{FLAT}", f"lycoris__orig_mod_{FLAT}"),
    *("lora_unet_transformer_blocks_0__orig_mod_attn_to_out_0", f"lora_unet_{FLAT}__orig_mod"),
    *(f"lora_transformer_module_{FLAT}", f"lora_unet_module__orig_mod_{FLAT}", f"module.lora_unet_{FLAT}"),
    *(f"lora_unet_diffusion_model_{FLAT}", f"lora_unet_dit_{FLAT}", f"lora_unet_unet_{FLAT}"),
    *(
        f"FluxTransformer_lora_{FLAT}",
        f"Anima_lora_{FLAT}",
        f"my_model_lora_{FLAT}",
        f"Wan21_lora_unet_{FLAT}",
    ),
    *(f"lora_unet_diffusion_model_dit_{FLAT}", f"lycoris_model_diffusion_model_net_{FLAT}"),
    # By hand, of diffusers' names.
    *(f"unet_{FLAT}", f"unet_unet_{FLAT}", f"transformer_{FLAT}", f"lora_unet_transformer_{FLAT}"),
)


@pytest.mark.parametrize("raw", WRAPPED)
def test_dotted(raw):
    assert names.module(raw) == (DOTTED, False)


@pytest.mark.parametrize("raw", WRAPPED_FLAT)
def test_flattened(raw):
    assert names.module(raw) == (DOTTED, True)


def test_the_processor_of_a_flattened_name():
    raw = "lora_unet_unet_mid_block_attentions_0_transformer_blocks_0_attn1_processor_to_out"
    assert names.module(raw) == ("mid_block.attentions.0.transformer_blocks.0.attn1.to_out", True)


@pytest.mark.parametrize(
    "path",
    [
        *(FLAT, f"single_{FLAT}"),
        *("gate_modules.0", "modulation.lin", "transformer_blocks.0.ff.net.0.proj", "model_sampling.x"),
        *("double_blocks.0.img_attn.qkv_lora1", "unet_blocks.0", "pipe", "module", "_orig_mod", "net"),
        *("student.transformer_blocks.0.attn.to_q", "double_blocks.0.processor_module"),
        *("blocks.0.my_module.lin", "blocks.0.module.lin", "linX"),
    ],
)
def test_nothing_else_is_taken_off(path):
    assert names.module(path) == (path, False)


def test_what_a_trainer_calls_a_flattened_name_is_kept_for_the_host():
    assert names.unwrapped("module.lora_unet_blocks_0__orig_mod_attn") == "lora_unet_blocks_0_attn"
    assert names.unwrapped("pipe.text_encoder._orig_mod.x") == "text_encoder.x"
    # Around the model alone, and no letter more.
    assert names.unwrapped("module.blocks.0.pipe.lin") == "blocks.0.pipe.lin"
    assert names.unwrapped("blocks.0.linX._orig_mod") == "blocks.0.linX"
    assert names.module("lora_unet_net_a.b") == ("net_a.b", False)


FLUX = {"double_blocks.0.img_attn.qkv": (9216, 3072), "single_blocks.0.linear1": (21504, 3072)}


def test_what_stands_before_a_known_networks_names():
    under = {f"student.ema.{path}": shape for path, shape in FLUX.items()}
    assert names.wrapper_of(under) == "student.ema"
    assert names.wrapper_of({f"student.{path}": shape for path, shape in FLUX.items()}) == "student"
    assert names.wrapper_of({"student.time_mod_proj": (8, 8)}) == "student"
    assert names.wrapper_of(FLUX) is None
    # One layer has other names, or the names are nobody's.
    assert names.wrapper_of({**under, "first": (8, 8)}) is None
    assert names.wrapper_of({"student.some.layer": (8, 8), "student.other": (8, 8)}) is None
    assert names.wrapper_of({"student": (8, 8)}) is None
    # A part of its own: Anima's adapter, whose blocks have the names of the network's.
    assert names.wrapper_of({"llm_adapter.blocks.0.self_attn.q_proj": (1024, 1024)}) is None
    for part in ("audio_injector", "3"):
        assert names.wrapper_of({f"{part}.{path}": shape for path, shape in FLUX.items()}) is None
