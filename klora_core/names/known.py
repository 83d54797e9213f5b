"""Layers of no known network: their names are told by the module of the network that they lie in."""

from __future__ import annotations

import re

from .layout import layout_of
from .networks import TABLES
from .sign_table import FLUX
from .signs import Shapes
from .table import flat

# What the networks that ComfyUI runs have at their top, and diffusers' names of a UNet.
_TOP = """
adaLN_modulation adaln_proj adaln_single add_embedding ar_embedder audio_adaln_single
audio_caption_projection audio_embeddings_connector audio_injector audio_patch_proj audio_patchify_proj
audio_proj audio_proj_out audio_prompt_adaln_single av_ca_a2v_gate_adaln_single
av_ca_audio_scale_shift_adaln_single av_ca_v2a_gate_adaln_single av_ca_video_scale_shift_adaln_single blocks
byt5_in cam_out_layer cam_refiner cap_embedder caption_projection casual_audio_encoder class_embedding clf
clip_img_mapper clip_mapper clip_text_pooled_proj clip_txt_mapper clip_txt_pooled_mapper cond_embedder
cond_embedder2 cond_encoder cond_in cond_seq_linear condition_embedder condition_proj context_embedder
context_refiner context_repo_layers control_adapter conv_in conv_out csize_embedder dec_net
diffusion_transformer distilled_guidance_layer double_blocks double_layers double_stream_blocks
double_stream_layers double_stream_modulation_img double_stream_modulation_txt down_blocks down_downscalers
down_repeat_mappers effnet_mapper emb_in embedding extra_embedder face_adapter face_encoder final_layer
final_layer2 final_linear final_norm first frame_packer genre_embedder guidance_in head head_global img_emb
img_emb_refimage img_in img_in_patch init_x_linear input_blocks input_layer input_proj joint_blocks
label_emb language_model_layers last latent_conditioners latent_in llm_adapter llm_cond_proj lq_proj
lyric_encoder lyric_proj mid_block middle_block mlp_t5 modF motion_encoder music_encoder music_injector
music_projection nerf_blocks nerf_final_layer nerf_final_layer_conv nerf_image_embedder noise_refiner
noise_repo_layers norm_out ofs_embedding_linear_1 ofs_embedding_linear_2 out out_layer output_blocks
p_embedder patch_blocks patch_embed patch_embedding patch_embedding_global patch_embedding_mask
patch_embedding_pose patchify_proj pit_lq_gate pixel_blocks pixel_embedder pixels_mapper
pooled_text_embeddings pooler pos_embed pos_embed_input pose_patch_embedding postprocess_conv
preprocess_conv proj_in proj_out projectors prompt_adaln_single ref_conv ref_image_patch_embedder
ref_image_refiner repo_layers s_embedder siglip_embedder siglip_refiner single_blocks single_layers
single_stream_blocks single_stream_layers single_stream_modulation speaker_embedder style_embedder
t5_y_embedder t5_yproj t_block t_embedder t_embedder1 t_embedding text_embedding text_embeddings text_proj
text_transformer_blocks time_caption_embed time_embed time_embedder time_embedding time_embeddings time_in
time_projection time_r_in time_text_embed timestep_embedder tmlp to_cond_embed to_global_embed
to_prepend_embed to_timestep_embed token_refiner tproj trainable_cond_mask transformer_blocks txt_in
txtfusion txtmlp up_blocks up_repeat_mappers up_upscalers vace_blocks vace_patch_embedding vector_in vid_in
vid_out vid_out_ada video_embeddings_connector video_patch_proj vision_in visual visual_embeddings
visual_transformer_blocks x_embedder y_embedder
"""
# What a language model, or a VAE, has too counts by what is in it.
_LAYERS = (
    r"layers_\d+_(?:attention|attn|feed_forward|ada[lL][nN]_modulation|self_attention|mlp|norm\d)(?:_|$)"
)
_DECODER = r"decoder_(?:layers_\d|proj_(?:in|out)|time_embed|condition_embedder)"
_KNOWN = re.compile(rf"(?:{'|'.join(_TOP.split())})(?:_|$)|{_LAYERS}|{_DECODER}")


def strangers(shapes: Shapes) -> tuple[str, ...]:
    """The weights that no known network has, of those that LoRAs of one network change, by name.

    Names that only others give to a network's blocks are strange too where its table has not placed them.
    """
    network = layout_of(shapes).network or ""
    others = "|".join(TABLES[network].others if network in TABLES else ()) or "(?!)"
    theirs = re.compile(rf"(?:{others})\d")
    return tuple(path for path in shapes if not _KNOWN.match(flat(path)) or theirs.match(flat(path)))


def is_open(shapes: Shapes) -> bool:
    """Whether the names are FLUX's in diffusers or another network's own: nothing in the LoRA tells which."""
    return layout_of(shapes).network is None and any(TABLES[FLUX].find(path) for path in shapes)
