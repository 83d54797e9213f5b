"""FLUX's layout, which Chroma, HunyuanVideo and HunyuanImage share: what others call its modules."""

from __future__ import annotations

from ..table import table

# diffusers: FluxTransformer2DModel, ChromaTransformer2DModel, HunyuanVideoTransformer3DModel and the classes
# of HunyuanVideo 1.5, HunyuanImage 2.1 and FramePack.
_DIFFUSERS = """
x_embedder                                                   img_in
x_embedder.proj                                              img_in.proj
context_embedder                                             txt_in
time_text_embed.timestep_embedder.linear_1                   time_in.in_layer
time_text_embed.timestep_embedder.linear_2                   time_in.out_layer
time_text_embed.text_embedder.linear_1                       vector_in.in_layer
time_text_embed.text_embedder.linear_2                       vector_in.out_layer
time_text_embed.guidance_embedder.linear_1                   guidance_in.in_layer
time_text_embed.guidance_embedder.linear_2                   guidance_in.out_layer
time_guidance_embed.timestep_embedder.linear_1               time_in.in_layer
time_guidance_embed.timestep_embedder.linear_2               time_in.out_layer
time_guidance_embed.timestep_embedder_r.linear_1             time_r_in.in_layer
time_guidance_embed.timestep_embedder_r.linear_2             time_r_in.out_layer
time_guidance_embed.guidance_embedder.linear_1               guidance_in.in_layer
time_guidance_embed.guidance_embedder.linear_2               guidance_in.out_layer
time_embed.timestep_embedder.linear_1                        time_in.in_layer
time_embed.timestep_embedder.linear_2                        time_in.out_layer
time_embed.timestep_embedder_r.linear_1                      time_r_in.in_layer
time_embed.timestep_embedder_r.linear_2                      time_r_in.out_layer
context_embedder.proj_in                                     txt_in.input_embedder
context_embedder.time_text_embed.timestep_embedder.linear_1  txt_in.t_embedder.in_layer
context_embedder.time_text_embed.timestep_embedder.linear_2  txt_in.t_embedder.out_layer
context_embedder.time_text_embed.text_embedder.linear_1      txt_in.c_embedder.in_layer
context_embedder.time_text_embed.text_embedder.linear_2      txt_in.c_embedder.out_layer
context_embedder_2.linear_1                                  byt5_in.fc1
context_embedder_2.linear_2                                  byt5_in.fc2
context_embedder_2.linear_3                                  byt5_in.fc3
image_embedder.linear_1                                      vision_in.proj.1
image_embedder.linear_2                                      vision_in.proj.3
norm_out.linear                                              final_layer.adaLN_modulation.1~
proj_out                                                     final_layer.linear
controlnet_x_embedder                                        pos_embed_input
double_stream_modulation_img.linear                          double_stream_modulation_img.lin
double_stream_modulation_txt.linear                          double_stream_modulation_txt.lin
single_stream_modulation.linear                              single_stream_modulation.lin
distilled_guidance_layer.layers.# = distilled_guidance_layer.layers.#
  linear_1  in_layer
  linear_2  out_layer
transformer_blocks.# = double_blocks.#
  attn.to_q              img_attn.qkv[1/3]
  attn.to_k              img_attn.qkv[2/3]
  attn.to_v              img_attn.qkv[3/3]
  attn.add_q_proj        txt_attn.qkv[1/3]
  attn.add_k_proj        txt_attn.qkv[2/3]
  attn.add_v_proj        txt_attn.qkv[3/3]
  attn.to_out.0          img_attn.proj
  attn.to_out            img_attn.proj
  attn.to_add_out        txt_attn.proj
  norm1.linear           img_mod.lin
  norm1_context.linear   txt_mod.lin
  ff.net.0.proj          img_mlp.0
  ff.net.2               img_mlp.2
  ff.linear_in           img_mlp.0
  ff.linear_out          img_mlp.2
  ff_context.net.0.proj  txt_mlp.0
  ff_context.net.2       txt_mlp.2
  ff_context.linear_in   txt_mlp.0
  ff_context.linear_out  txt_mlp.2
single_transformer_blocks.# = single_blocks.#
  attn.to_q             linear1[1/3]
  attn.to_k             linear1[2/3]
  attn.to_v             linear1[3/3]
  proj_mlp              linear1[mlp]
  proj_out              linear2
  norm.linear           modulation.lin
  attn.to_qkv_mlp_proj  linear1
  attn.to_out           linear2
context_embedder.token_refiner.refiner_blocks.# = txt_in.individual_token_refiner.blocks.#
  attn.to_q        self_attn.qkv[1/3]
  attn.to_k        self_attn.qkv[2/3]
  attn.to_v        self_attn.qkv[3/3]
  attn.to_out.0    self_attn.proj
  ff.net.0.proj    mlp.0
  ff.net.2         mlp.2
  norm_out.linear  adaLN_modulation.1
"""
# x-flux: the attention processors' own layers; the single blocks' are called qkv_lora and proj_lora, of which
# the ending counts as the tensor's. USO writes the same.
_XLABS = """
double_blocks.# = double_blocks.#
  qkv_lora1   img_attn.qkv
  qkv_lora2   txt_attn.qkv
  proj_lora1  img_attn.proj
  proj_lora2  txt_attn.proj
single_blocks.# = single_blocks.#
  qkv          linear1[qkv]
  proj         linear2
  linear1_qkv  linear1[qkv]
"""
# DiffSynth-Studio: its FluxDiT, fused, and the split form of its older versions.
_DIFFSYNTH = """
time_embedder.timestep_embedder.0      time_in.in_layer
time_embedder.timestep_embedder.2      time_in.out_layer
guidance_embedder.timestep_embedder.0  guidance_in.in_layer
guidance_embedder.timestep_embedder.2  guidance_in.out_layer
pooled_text_embedder.0                 vector_in.in_layer
pooled_text_embedder.2                 vector_in.out_layer
final_norm_out.linear                  final_layer.adaLN_modulation.1
final_proj_out                         final_layer.linear
blocks.# = double_blocks.#
  attn.a_to_qkv   img_attn.qkv
  attn.b_to_qkv   txt_attn.qkv
  attn.a_to_q     img_attn.qkv[1/3]
  attn.a_to_k     img_attn.qkv[2/3]
  attn.a_to_v     img_attn.qkv[3/3]
  attn.b_to_q     txt_attn.qkv[1/3]
  attn.b_to_k     txt_attn.qkv[2/3]
  attn.b_to_v     txt_attn.qkv[3/3]
  attn.a_to_out   img_attn.proj
  attn.b_to_out   txt_attn.proj
  norm1_a.linear  img_mod.lin
  norm1_b.linear  txt_mod.lin
  ff_a.0          img_mlp.0
  ff_a.2          img_mlp.2
  ff_b.0          txt_mlp.0
  ff_b.2          txt_mlp.2
single_blocks.# = single_blocks.#
  to_qkv_mlp            linear1
  a_to_q                linear1[1/3]
  a_to_k                linear1[2/3]
  a_to_v                linear1[3/3]
  proj_in_besides_attn  linear1[mlp]
  proj_out              linear2
  norm.linear           modulation.lin
"""
# Tencent's own names, which musubi-tuner, sd-scripts and diffusion-pipe write: HunyuanVideo, its version 1.5
# (q, k and v apart), HunyuanImage.
_HUNYUAN = """
time_in.mlp.0               time_in.in_layer
time_in.mlp.2               time_in.out_layer
time_r_in.mlp.0             time_r_in.in_layer
time_r_in.mlp.2             time_r_in.out_layer
guidance_in.mlp.0           guidance_in.in_layer
guidance_in.mlp.2           guidance_in.out_layer
txt_in.t_embedder.mlp.0     txt_in.t_embedder.in_layer
txt_in.t_embedder.mlp.2     txt_in.t_embedder.out_layer
txt_in.c_embedder.linear_1  txt_in.c_embedder.in_layer
txt_in.c_embedder.linear_2  txt_in.c_embedder.out_layer
txt_in.individual_token_refiner.blocks.# = txt_in.individual_token_refiner.blocks.#
  self_attn_qkv   self_attn.qkv
  self_attn_proj  self_attn.proj
  mlp.fc1         mlp.0
  mlp.fc2         mlp.2
double_blocks.# = double_blocks.#
  img_attn_qkv    img_attn.qkv
  img_attn_q      img_attn.qkv[1/3]
  img_attn_k      img_attn.qkv[2/3]
  img_attn_v      img_attn.qkv[3/3]
  img_attn_proj   img_attn.proj
  txt_attn_qkv    txt_attn.qkv
  txt_attn_q      txt_attn.qkv[1/3]
  txt_attn_k      txt_attn.qkv[2/3]
  txt_attn_v      txt_attn.qkv[3/3]
  txt_attn_proj   txt_attn.proj
  img_mod.linear  img_mod.lin
  txt_mod.linear  txt_mod.lin
  img_mlp.fc1     img_mlp.0
  img_mlp.fc2     img_mlp.2
  txt_mlp.fc1     txt_mlp.0
  txt_mlp.fc2     txt_mlp.2
single_blocks.# = single_blocks.#
  modulation.linear  modulation.lin
  linear1_q          linear1[1/3]
  linear1_k          linear1[2/3]
  linear1_v          linear1[3/3]
  linear1_mlp        linear1[mlp]
  linear2.fc         linear2
"""
FLUX = table(_DIFFUSERS, _XLABS, _DIFFSYNTH, _HUNYUAN)
