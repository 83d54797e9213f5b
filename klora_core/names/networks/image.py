"""Other names of image models' modules: SD 3.5, PixArt, AuraFlow, Krea, Lumina with Z-Image."""

from __future__ import annotations

from ..table import table

SD3 = table("""
context_embedder                            context_embedder
pos_embed.proj                              x_embedder.proj
time_text_embed.timestep_embedder.linear_1  t_embedder.mlp.0
time_text_embed.timestep_embedder.linear_2  t_embedder.mlp.2
time_text_embed.text_embedder.linear_1      y_embedder.mlp.0
time_text_embed.text_embedder.linear_2      y_embedder.mlp.2
norm_out.linear                             final_layer.adaLN_modulation.1~
proj_out                                    final_layer.linear
transformer_blocks.# = joint_blocks.#
  attn.to_q              x_block.attn.qkv[1/3]
  attn.to_k              x_block.attn.qkv[2/3]
  attn.to_v              x_block.attn.qkv[3/3]
  attn.add_q_proj        context_block.attn.qkv[1/3]
  attn.add_k_proj        context_block.attn.qkv[2/3]
  attn.add_v_proj        context_block.attn.qkv[3/3]
  attn2.to_q             x_block.attn2.qkv[1/3]
  attn2.to_k             x_block.attn2.qkv[2/3]
  attn2.to_v             x_block.attn2.qkv[3/3]
  attn.to_out.0          x_block.attn.proj
  attn.to_add_out        context_block.attn.proj
  attn2.to_out.0         x_block.attn2.proj
  norm1.linear           x_block.adaLN_modulation.1
  norm1_context.linear   context_block.adaLN_modulation.1~pair
  ff.net.0.proj          x_block.mlp.fc1
  ff.net.2               x_block.mlp.fc2
  ff_context.net.0.proj  context_block.mlp.fc1
  ff_context.net.2       context_block.mlp.fc2
""")
PIXART = table("""
pos_embed.proj                                x_embedder.proj
caption_projection.linear_1                   y_embedder.y_proj.fc1
caption_projection.linear_2                   y_embedder.y_proj.fc2
adaln_single.linear                           t_block.1
adaln_single.emb.timestep_embedder.linear_1   t_embedder.mlp.0
adaln_single.emb.timestep_embedder.linear_2   t_embedder.mlp.2
adaln_single.emb.resolution_embedder.linear_1  csize_embedder.mlp.0
adaln_single.emb.resolution_embedder.linear_2  csize_embedder.mlp.2
adaln_single.emb.aspect_ratio_embedder.linear_1  ar_embedder.mlp.0
adaln_single.emb.aspect_ratio_embedder.linear_2  ar_embedder.mlp.2
proj_out                                      final_layer.linear
transformer_blocks.# = blocks.#
  attn1.to_q      attn.qkv[1/3]
  attn1.to_k      attn.qkv[2/3]
  attn1.to_v      attn.qkv[3/3]
  attn1.to_out.0  attn.proj
  attn2.to_q      cross_attn.q_linear
  attn2.to_k      cross_attn.kv_linear[1/2]
  attn2.to_v      cross_attn.kv_linear[2/2]
  attn2.to_out.0  cross_attn.proj
  ff.net.0.proj   mlp.fc1
  ff.net.2        mlp.fc2
""")
AURAFLOW = table("""
time_step_proj.linear_1  t_embedder.mlp.0
time_step_proj.linear_2  t_embedder.mlp.2
context_embedder         cond_seq_linear
pos_embed.proj           init_x_linear
norm_out.linear          modF.1~
proj_out                 final_linear
joint_transformer_blocks.# = double_layers.#
  attn.to_q                  attn.w2q
  attn.to_k                  attn.w2k
  attn.to_v                  attn.w2v
  attn.add_q_proj            attn.w1q
  attn.add_k_proj            attn.w1k
  attn.add_v_proj            attn.w1v
  attn.to_out.0              attn.w2o
  attn.to_add_out            attn.w1o
  norm1.linear               modX.1
  norm1_context.linear       modC.1
  ff.linear_1                mlpX.c_fc1
  ff.linear_2                mlpX.c_fc2
  ff.out_projection          mlpX.c_proj
  ff_context.linear_1        mlpC.c_fc1
  ff_context.linear_2        mlpC.c_fc2
  ff_context.out_projection  mlpC.c_proj
single_transformer_blocks.# = single_layers.#
  attn.to_q          attn.w1q
  attn.to_k          attn.w1k
  attn.to_v          attn.w1v
  attn.to_out.0      attn.w1o
  norm1.linear       modCX.1
  ff.linear_1        mlp.c_fc1
  ff.linear_2        mlp.c_fc2
  ff.out_projection  mlp.c_proj
""")
_KREA_BLOCK = """
  attn.to_q      attn.wq
  attn.to_k      attn.wk
  attn.to_v      attn.wv
  attn.to_gate   attn.gate
  attn.to_out.0  attn.wo
  attn.to_out    attn.wo
  ff.gate        mlp.gate
  ff.up          mlp.up
  ff.down        mlp.down
"""
KREA = table(
    """
img_in                 first
time_embed.linear_1    tmlp.0
time_embed.linear_2    tmlp.2
time_mod_proj          tproj.1
txt_in.linear_1        txtmlp.1
txt_in.linear_2        txtmlp.3
text_fusion.projector  txtfusion.projector
final_layer.linear     last.linear
""",
    f"transformer_blocks.# = blocks.#{_KREA_BLOCK}",
    f"text_fusion.layerwise_blocks.# = txtfusion.layerwise_blocks.#{_KREA_BLOCK}",
    f"text_fusion.refiner_blocks.# = txtfusion.refiner_blocks.#{_KREA_BLOCK}",
)
# Z-Image's names in diffusers, DiffSynth-Studio, OneTrainer and musubi-tuner; Lumina 2's in diffusers.
_Z_IMAGE = """
  attention.to_q      attention.qkv[q]
  attention.to_k      attention.qkv[k]
  attention.to_v      attention.qkv[v]
  attention.to_out.0  attention.out
  attention.to_out    attention.out
"""
_LUMINA2 = """
  attn.to_q              attention.qkv[q]
  attn.to_k              attention.qkv[k]
  attn.to_v              attention.qkv[v]
  attn.to_out.0          attention.out
  attn.to_out            attention.out
  feed_forward.linear_1  feed_forward.w1
  feed_forward.linear_2  feed_forward.w2
  feed_forward.linear_3  feed_forward.w3
  norm1.linear           adaLN_modulation.1
"""
LUMINA = table(
    """
x_embedder                                     x_embedder
all_x_embedder.2-1                             x_embedder
all_final_layer.2-1.linear                     final_layer.linear
all_final_layer.2-1.adaLN_modulation.1         final_layer.adaLN_modulation.1
time_caption_embed.timestep_embedder.linear_1  t_embedder.mlp.0
time_caption_embed.timestep_embedder.linear_2  t_embedder.mlp.2
time_caption_embed.caption_embedder.1          cap_embedder.1
norm_out.linear_1                              final_layer.adaLN_modulation.1
norm_out.linear_2                              final_layer.linear
""",
    *(
        f"{blocks}.# = {blocks}.#{rows}"
        for blocks in ("layers", "noise_refiner", "context_refiner")
        for rows in (_Z_IMAGE, _LUMINA2)
    ),
)
