"""Other names of video models' modules: Wan, LTX, Mochi, Cosmos, CogVideoX, as diffusers calls them."""

from __future__ import annotations

from ..table import table

_WAN_BLOCK = """
  attn1.to_q        self_attn.q
  attn1.to_k        self_attn.k
  attn1.to_v        self_attn.v
  attn1.to_out.0    self_attn.o
  attn1.to_out      self_attn.o
  attn2.to_q        cross_attn.q
  attn2.to_k        cross_attn.k
  attn2.to_v        cross_attn.v
  attn2.add_k_proj  cross_attn.k_img
  attn2.add_v_proj  cross_attn.v_img
  attn2.to_out.0    cross_attn.o
  attn2.to_out      cross_attn.o
  ffn.net.0.proj    ffn.0
  ffn.net.2         ffn.2
"""
WAN = table(
    """
condition_embedder.time_embedder.linear_1           time_embedding.0
condition_embedder.time_embedder.linear_2           time_embedding.2
condition_embedder.text_embedder.linear_1           text_embedding.0
condition_embedder.text_embedder.linear_2           text_embedding.2
condition_embedder.time_proj                        time_projection.1
condition_embedder.image_embedder.ff.net.0.proj     img_emb.proj.1
condition_embedder.image_embedder.ff.net.2          img_emb.proj.3
proj_out                                            head.head
face_encoder.conv1_local                            face_encoder.conv1_local.conv
face_encoder.conv2                                  face_encoder.conv2.conv
face_encoder.conv3                                  face_encoder.conv3.conv
""",
    f"blocks.# = blocks.#{_WAN_BLOCK}",
    f"vace_blocks.# = vace_blocks.#{_WAN_BLOCK}  proj_in   before_proj\n  proj_out  after_proj",
    """
face_adapter.# = face_adapter.fuser_blocks.#
  to_q    linear1_q
  to_k    linear1_kv[1/2]
  to_v    linear1_kv[2/2]
  to_out  linear2
""",
)
_LTX_ADALN = {
    "time_embed": "adaln_single",
    "audio_time_embed": "audio_adaln_single",
    "av_cross_attn_video_scale_shift": "av_ca_video_scale_shift_adaln_single",
    "av_cross_attn_video_a2v_gate": "av_ca_a2v_gate_adaln_single",
    "av_cross_attn_audio_scale_shift": "av_ca_audio_scale_shift_adaln_single",
    "av_cross_attn_audio_v2a_gate": "av_ca_v2a_gate_adaln_single",
}
LTX = table(
    """
proj_in        patchify_proj
audio_proj_in  audio_patchify_proj
""",
    *(
        f"{theirs}{end} {ours}{end}"
        for theirs, ours in _LTX_ADALN.items()
        for end in (".emb.timestep_embedder.linear_1", ".emb.timestep_embedder.linear_2", ".linear")
    ),
)
MOCHI = table("""
patch_embed.proj                       x_embedder.proj
time_embed.timestep_embedder.linear_1  t_embedder.mlp.0
time_embed.timestep_embedder.linear_2  t_embedder.mlp.2
time_embed.pooler.to_kv                t5_y_embedder.to_kv
time_embed.pooler.to_q                 t5_y_embedder.to_q
time_embed.pooler.to_out               t5_y_embedder.to_out
time_embed.caption_proj                t5_yproj
norm_out.linear                        final_layer.mod~
proj_out                               final_layer.linear
transformer_blocks.# = blocks.#
  norm1.linear            mod_x
  norm1_context.linear    mod_y
  norm1_context.linear_1  mod_y
  attn1.to_q              attn.qkv_x[1/3]
  attn1.to_k              attn.qkv_x[2/3]
  attn1.to_v              attn.qkv_x[3/3]
  attn1.add_q_proj        attn.qkv_y[1/3]
  attn1.add_k_proj        attn.qkv_y[2/3]
  attn1.add_v_proj        attn.qkv_y[3/3]
  attn1.to_out.0          attn.proj_x
  attn1.to_add_out        attn.proj_y
  ff.net.0.proj           mlp_x.w1~
  ff.net.2                mlp_x.w2
  ff_context.net.0.proj   mlp_y.w1~
  ff_context.net.2        mlp_y.w2
""")
_COSMOS_TOP = """
patch_embed.proj                x_embedder.proj.1
time_embed.t_embedder.linear_1  t_embedder.1.linear_1
time_embed.t_embedder.linear_2  t_embedder.1.linear_2
proj_out                        final_layer.linear
"""
COSMOS = table(
    _COSMOS_TOP,
    """
norm_out.linear_1  final_layer.adaLN_modulation.1
norm_out.linear_2  final_layer.adaLN_modulation.2
transformer_blocks.# = blocks.block#
  attn1.to_q      blocks.0.block.attn.to_q.0
  attn1.to_k      blocks.0.block.attn.to_k.0
  attn1.to_v      blocks.0.block.attn.to_v.0
  attn1.to_out.0  blocks.0.block.attn.to_out.0
  attn2.to_q      blocks.1.block.attn.to_q.0
  attn2.to_k      blocks.1.block.attn.to_k.0
  attn2.to_v      blocks.1.block.attn.to_v.0
  attn2.to_out.0  blocks.1.block.attn.to_out.0
  ff.net.0.proj   blocks.2.block.layer1
  ff.net.2        blocks.2.block.layer2
  norm1.linear_1  blocks.0.adaLN_modulation.1
  norm1.linear_2  blocks.0.adaLN_modulation.2
  norm2.linear_1  blocks.1.adaLN_modulation.1
  norm2.linear_2  blocks.1.adaLN_modulation.2
  norm3.linear_1  blocks.2.adaLN_modulation.1
  norm3.linear_2  blocks.2.adaLN_modulation.2
""",
)
COSMOS2 = table(
    _COSMOS_TOP,
    """
norm_out.linear_1  final_layer.adaln_modulation.1
norm_out.linear_2  final_layer.adaln_modulation.2
transformer_blocks.# = blocks.#
  attn1.to_q      self_attn.q_proj
  attn1.to_k      self_attn.k_proj
  attn1.to_v      self_attn.v_proj
  attn1.to_out.0  self_attn.output_proj
  attn2.to_q      cross_attn.q_proj
  attn2.to_k      cross_attn.k_proj
  attn2.to_v      cross_attn.v_proj
  attn2.to_out.0  cross_attn.output_proj
  ff.net.0.proj   mlp.layer1
  ff.net.2        mlp.layer2
  norm1.linear_1  adaln_modulation_self_attn.1
  norm1.linear_2  adaln_modulation_self_attn.2
  norm2.linear_1  adaln_modulation_cross_attn.1
  norm2.linear_2  adaln_modulation_cross_attn.2
  norm3.linear_1  adaln_modulation_mlp.1
  norm3.linear_2  adaln_modulation_mlp.2
""",
)
COGVIDEOX = table("""
time_embedding.linear_1  time_embedding_linear_1
time_embedding.linear_2  time_embedding_linear_2
ofs_embedding.linear_1   ofs_embedding_linear_1
ofs_embedding.linear_2   ofs_embedding_linear_2
transformer_blocks.# = blocks.#
  attn1.to_q      q
  attn1.to_k      k
  attn1.to_v      v
  attn1.to_out.0  attn_out
  attn1.to_out    attn_out
  ff.net.0.proj   ff_proj
  ff.net.2        ff_out
  norm1.linear    norm1.linear
  norm2.linear    norm2.linear
blocks.# = blocks.#
  attn_out  attn_out
  ff_proj   ff_proj
  ff_out    ff_out
""")
