"""Every spelling of a module becomes the one name that ComfyUI gives its weight."""

from __future__ import annotations

import pytest

from klora_core import names
from klora_core.names import Layout, Placed, Slot, layout_of

SDXL, SD15, FLUX = Layout("unet", True), Layout("unet", False), Layout("flux")
H = 3072

UNET = {
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q": (
        "input_blocks.4.1.transformer_blocks.0.attn1.to_q"
    ),
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_out_0": (
        "input_blocks.4.1.transformer_blocks.0.attn1.to_out.0"
    ),
    "lora_unet_down_blocks_2_attentions_1_transformer_blocks_9_ff_net_0_proj": (
        "input_blocks.8.1.transformer_blocks.9.ff.net.0.proj"
    ),
    "unet.unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q": (
        "input_blocks.4.1.transformer_blocks.0.attn1.to_q"
    ),
    "unet.up_blocks.0.attentions.2.transformer_blocks.3.attn2.processor.to_out": (
        "output_blocks.2.1.transformer_blocks.3.attn2.to_out.0"
    ),
    "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q": (
        "middle_block.1.transformer_blocks.0.attn1.to_q"
    ),
    "base_model.model.up_blocks.1.attentions.0.proj_in": "output_blocks.3.1.proj_in",
    "unet.base_model.model.down_blocks.2.resnets.1.conv_shortcut": "input_blocks.8.0.skip_connection",
    "lora_unet_down_blocks_0_resnets_0_conv1": "input_blocks.1.0.in_layers.2",
    "lora_unet_up_blocks_1_resnets_2_conv2": "output_blocks.5.0.out_layers.3",
    "lora_unet_mid_block_resnets_0_time_emb_proj": "middle_block.0.emb_layers.1",
    "lora_unet_mid_block_resnets_1_conv1": "middle_block.2.in_layers.2",
    "lora_unet_down_blocks_1_downsamplers_0_conv": "input_blocks.6.0.op",
    "lora_unet_up_blocks_1_upsamplers_0_conv": "output_blocks.5.2.conv",
    "lycoris_time_embedding_linear_1": "time_embed.0",
    "lycoris_time_embedding_linear_2": "time_embed.2",
    "unet.add_embedding.linear_1": "label_emb.0.0",
    "unet.add_embedding.linear_2": "label_emb.0.2",
    "lora_unet_conv_in": "input_blocks.0.0",
    "lora_unet_conv_out": "out.2",
    "lora_unet_label_emb_0_0": "label_emb.0.0",
    "lora_unet_output_blocks_2_2_conv": "output_blocks.2.2.conv",
    "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v": (
        "middle_block.1.transformer_blocks.0.attn2.to_v"
    ),
}
FLUX_NAMES = {
    # module: (shape, weight, rows)
    "transformer.transformer_blocks.7.attn.to_q": ((H, H), "double_blocks.7.img_attn.qkv", (0, H)),
    "transformer.transformer_blocks.7.attn.to_v": ((H, H), "double_blocks.7.img_attn.qkv", (2 * H, H)),
    "transformer.transformer_blocks.7.attn.add_k_proj": ((H, H), "double_blocks.7.txt_attn.qkv", (H, H)),
    "transformer.transformer_blocks.7.attn.to_out.0": ((H, H), "double_blocks.7.img_attn.proj", None),
    "transformer.transformer_blocks.7.attn.to_add_out": ((H, H), "double_blocks.7.txt_attn.proj", None),
    "transformer.transformer_blocks.7.norm1.linear": ((6 * H, H), "double_blocks.7.img_mod.lin", None),
    "transformer.transformer_blocks.7.norm1_context.linear": (
        (6 * H, H),
        "double_blocks.7.txt_mod.lin",
        None,
    ),
    "transformer.transformer_blocks.7.ff.net.0.proj": ((4 * H, H), "double_blocks.7.img_mlp.0", None),
    "transformer.transformer_blocks.7.ff.net.2": ((H, 4 * H), "double_blocks.7.img_mlp.2", None),
    "transformer.transformer_blocks.7.ff_context.net.0.proj": ((4 * H, H), "double_blocks.7.txt_mlp.0", None),
    "transformer.transformer_blocks.7.ff_context.net.2": ((H, 4 * H), "double_blocks.7.txt_mlp.2", None),
    "transformer.single_transformer_blocks.30.attn.to_k": ((H, H), "single_blocks.30.linear1", (H, H)),
    "transformer.single_transformer_blocks.30.proj_mlp": (
        (4 * H, H),
        "single_blocks.30.linear1",
        (3 * H, 4 * H),
    ),
    "transformer.single_transformer_blocks.30.proj_out": ((H, 5 * H), "single_blocks.30.linear2", None),
    "transformer.single_transformer_blocks.30.norm.linear": (
        (3 * H, H),
        "single_blocks.30.modulation.lin",
        None,
    ),
    "lora_transformer_single_transformer_blocks_2_attn_to_q": ((H, H), "single_blocks.2.linear1", (0, H)),
    "lycoris_transformer_blocks_2_ff_context_net_0_proj": ((4 * H, H), "double_blocks.2.txt_mlp.0", None),
    "lora_unet_double_blocks_2_img_attn_qkv": ((3 * H, H), "double_blocks.2.img_attn.qkv", None),
    "lora_unet_single_blocks_2_modulation_lin": ((3 * H, H), "single_blocks.2.modulation.lin", None),
    "diffusion_model.single_blocks.2.linear1_qkv": ((3 * H, H), "single_blocks.2.linear1", (0, 3 * H)),
    "double_blocks.0.processor.qkv_lora2": ((3 * H, H), "double_blocks.0.txt_attn.qkv", None),
    "single_blocks.0.processor.qkv": ((3 * H, H), "single_blocks.0.linear1", (0, 3 * H)),
    "single_blocks.0.processor.proj": ((H, 5 * H), "single_blocks.0.linear2", None),
    "transformer.x_embedder": ((H, 64), "img_in", None),
    "transformer.context_embedder": ((H, 4096), "txt_in", None),
    "transformer.time_text_embed.timestep_embedder.linear_1": ((H, 256), "time_in.in_layer", None),
    "transformer.time_text_embed.text_embedder.linear_2": ((H, H), "vector_in.out_layer", None),
    "transformer.time_text_embed.guidance_embedder.linear_1": ((H, 256), "guidance_in.in_layer", None),
    "transformer.proj_out": ((64, H), "final_layer.linear", None),
}
OTHERS = {
    "lora_unet_blocks_0_cross_attn_k_img": "blocks.0.cross_attn.k_img",
    "lora_unet__blocks_0_cross_attn_k": "blocks.0.cross_attn.k",
    "diffusion_model.blocks.0.ffn.0": "blocks.0.ffn.0",
    "lora_unet_joint_blocks_3_x_block_attn_qkv": "joint_blocks.3.x_block.attn.qkv",
    "transformer.transformer_blocks.40.attn.add_q_proj": "transformer_blocks.40.attn.add_q_proj",
    "lora_unet_transformer_blocks_40_img_mod_1": "transformer_blocks.40.img_mod.1",
    "lora_unet_layers_3_feed_forward_w1": "layers.3.feed_forward.w1",
    "transformer.double_blocks.3.img_attn_qkv": "double_blocks.3.img_attn.qkv",
    "transformer.double_blocks.3.txt_mlp.fc2": "double_blocks.3.txt_mlp.2",
    "transformer.single_blocks.3.modulation.linear": "single_blocks.3.modulation.lin",
    "transformer.layers.3.attention.to_out.0": "layers.3.attention.out",
    "transformer.all_final_layer.2-1.linear": "final_layer.linear",
    "transformer.txt_in.individual_token_refiner.blocks.0.self_attn_qkv": (
        "txt_in.individual_token_refiner.blocks.0.self_attn.qkv"
    ),
    "transformer.txt_in.individual_token_refiner.blocks.0.mlp.fc2": (
        "txt_in.individual_token_refiner.blocks.0.mlp.2"
    ),
}


def place(raw, shape=(8, 8), layout=None):
    path = names.module(raw)[0]
    return names.place(path, shape, layout or layout_of({path: shape}))


@pytest.mark.parametrize("raw", UNET)
def test_unet(raw):
    assert place(raw, layout=SDXL) == Placed(Slot(UNET[raw]))


def test_the_first_upsampler_sits_behind_attention_where_there_is_any():
    raw = "lora_unet_up_blocks_0_upsamplers_0_conv"
    assert place(raw, layout=SDXL).slot.weight == "output_blocks.2.2.conv"
    assert place(raw, layout=SD15).slot.weight == "output_blocks.2.1.conv"
    later = "lora_unet_up_blocks_1_upsamplers_0_conv"
    assert place(later, layout=SD15).slot.weight == "output_blocks.5.2.conv"


@pytest.mark.parametrize("raw", FLUX_NAMES)
def test_flux(raw):
    shape, weight, rows = FLUX_NAMES[raw]
    assert place(raw, shape, FLUX) == Placed(Slot(weight, rows))


def test_flux_final_modulation_swaps_scale_and_shift():
    placed = place("transformer.norm_out.linear", (2 * H, H), FLUX)
    assert placed == Placed(Slot("final_layer.adaLN_modulation.1"), swap_halves=True)


@pytest.mark.parametrize("raw", OTHERS)
def test_other_networks(raw):
    assert place(raw) == Placed(Slot(OTHERS[raw]))


def test_z_image_qkv_are_rows_of_one_weight():
    placed = place("diffusion_model.layers.3.attention.to_v", (8, 8))
    assert placed.slot == Slot("layers.3.attention.qkv", (16, 8))


def test_flattened_and_dotted_spellings_share_their_flat_form():
    assert names.flat(names.dotted("some_new_net_7_odd_part")) == "some_new_net_7_odd_part"


def test_only_flattened_names_have_guessed_dots():
    assert names.module("lora_unet_a_b") == ("a.b", True)
    assert names.module("diffusion_model.a_b") == ("a_b", False)
    assert names.module("some_module") == ("some_module", False)


def test_the_last_context_block_of_sd3_swaps_scale_and_shift():
    path = "transformer.transformer_blocks.{}.norm1_context.linear"
    weight = "joint_blocks.{}.context_block.adaLN_modulation.1"
    last = place(path.format(23), (2 * 1536, 1536), Layout("sd3"))
    assert last == Placed(Slot(weight.format(23)), swap_halves=True)
    assert place(path.format(3), (6 * 1536, 1536), Layout("sd3")) == Placed(Slot(weight.format(3)))


@pytest.mark.parametrize("network", [None, "other", "unet"])
def test_top_names_of_a_unet_are_its_own(network):
    weight = place("diffusion_model.time_embedding.linear_1", layout=Layout(network)).slot.weight
    assert weight == ("time_embedding.linear_1" if network == "other" else "time_embed.0")


@pytest.mark.parametrize(
    "raw",
    [
        "lora_te_text_model_encoder_layers_0_mlp_fc1",
        "lora_te1_text_model_encoder_layers_0_mlp_fc1",
        "lora_te3_encoder_block_0_layer_0_SelfAttention_q",
        "text_encoder.text_model.encoder.layers.0.mlp.fc1",
        "text_encoder_2.text_model.encoder.layers.0.mlp.fc1",
        "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1",
        "base_model.model.text_model.encoder.layers.0.self_attn.q_proj",
        "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1",
        "lora_prior_te_text_model_encoder_layers_0_mlp_fc1",
    ],
)
def test_text_encoders(raw):
    assert names.is_text_encoder(raw)


@pytest.mark.parametrize(
    "raw",
    [
        *(*UNET, *FLUX_NAMES, *OTHERS, "transformer.text_embedding.0", "t_embedder.mlp.0"),
        *("lycoris_text_fusion_refiner_blocks_0_attn_to_q", "lora_unet_clip_txt_mapper"),
    ],
)
def test_what_is_no_text_encoder(raw):
    assert not names.is_text_encoder(raw)
