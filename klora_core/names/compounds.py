"""Path components that contain an underscore, of the networks that ComfyUI runs.

Flattened names (kohya, LyCORIS) lose the difference between such an underscore and a dot.
"""

from __future__ import annotations

# fmt: off
_UNET = (
    "input_blocks", "middle_block", "output_blocks", "transformer_blocks", "time_embed", "label_emb",
    "in_layers", "out_layers", "emb_layers", "skip_connection", "proj_in", "proj_out", "to_q", "to_k", "to_v",
    "to_out",
    "down_blocks", "mid_block", "up_blocks", "conv_in", "conv_out", "conv_norm_out", "conv_shortcut",
    "time_emb_proj", "time_embedding", "add_embedding", "class_embedding", "linear_1", "linear_2",
)
_FLUX = (
    "double_blocks", "single_blocks", "img_attn", "txt_attn", "img_mod", "txt_mod", "img_mlp", "txt_mlp",
    "img_in", "txt_in", "time_in", "vector_in", "guidance_in", "in_layer", "out_layer", "final_layer",
    "adaLN_modulation", "linear1_qkv", "query_norm", "key_norm", "distilled_guidance_layer", "in_proj",
    "out_proj", "double_stream_modulation_img", "double_stream_modulation_txt", "single_stream_modulation",
    "single_transformer_blocks", "norm1_context", "ff_context", "add_q_proj", "add_k_proj", "add_v_proj",
    "to_add_out", "proj_mlp", "to_qkv_mlp_proj", "linear_in", "linear_out", "norm_out", "x_embedder",
    "context_embedder", "controlnet_x_embedder", "pos_embed_input", "time_text_embed",
    "timestep_embedder", "text_embedder", "guidance_embedder",
    "norm_q", "norm_k", "norm_added_q", "norm_added_k",
)
_TRANSFORMERS = (
    # SD3 and AuraFlow
    "joint_blocks", "x_block", "context_block", "t_embedder", "y_embedder", "joint_transformer_blocks",
    "double_layers", "single_layers", "cond_seq_linear", "init_x_linear", "final_linear", "c_fc1", "c_fc2",
    "c_proj", "out_projection", "time_step_proj", "pos_embed",
    # Qwen-Image, HunyuanVideo, Wan
    "txt_norm", "individual_token_refiner", "self_attn", "cross_attn", "k_img", "v_img", "img_emb",
    "patch_embedding", "text_embedding", "time_projection", "norm_k_img", "vace_blocks", "before_proj",
    "after_proj", "vace_patch_embedding", "t_embedder_2", "c_embedder", "input_embedder",
    # Lumina, Z-Image, Krea
    "context_refiner", "noise_refiner", "cap_embedder", "feed_forward", "attention_norm1", "attention_norm2",
    "ffn_norm1", "ffn_norm2", "q_norm", "k_norm", "to_gate", "text_fusion", "layerwise_blocks",
    "refiner_blocks", "time_mod_proj", "all_final_layer", "all_x_embedder",
    # Cosmos, Anima
    "adaln_modulation", "adaln_modulation_self_attn", "adaln_modulation_cross_attn", "adaln_modulation_mlp",
    "q_proj", "k_proj", "v_proj", "o_proj", "output_proj", "llm_adapter", "t_embedding_norm",
    "norm_self_attn", "norm_cross_attn", "norm_mlp",
    # HiDream, PixArt, LTX, Cascade
    "double_stream_blocks", "single_stream_blocks", "to_q_t", "to_k_t", "to_v_t", "to_out_t", "ff_i", "ff_t",
    "shared_experts", "caption_projection", "pooled_embedder", "p_embedder", "q_rms_norm", "k_rms_norm",
    "q_rms_norm_t", "k_rms_norm_t", "adaln_single", "patchify_proj", "q_linear", "kv_linear", "y_proj",
    "t_block", "csize_embedder", "ar_embedder", "clip_txt_mapper", "clip_txt_pooled_mapper",
    "clip_img_mapper", "down_downscalers", "up_upscalers", "kv_mapper", "mapper_sca", "mapper_crp",
    # LTX-2
    "audio_patchify_proj", "audio_adaln_single", "av_ca_video_scale_shift_adaln_single",
    "av_ca_a2v_gate_adaln_single", "av_ca_audio_scale_shift_adaln_single", "av_ca_v2a_gate_adaln_single",
    "audio_caption_projection", "audio_embeddings_connector", "video_embeddings_connector",
    "transformer_1d_blocks", "audio_attn1", "audio_attn2", "audio_to_video_attn", "video_to_audio_attn",
    "audio_ff", "audio_proj_out", "to_gate_logits", "prompt_adaln_single", "audio_prompt_adaln_single",
    # OmniGen2, Kandinsky 5, ERNIE-Image, HunyuanDiT, MiniMax H3
    "ref_image_patch_embedder", "time_caption_embed", "caption_embedder", "linear_3", "ref_image_refiner",
    "time_embeddings", "text_embeddings", "pooled_text_embeddings", "visual_embeddings",
    "text_transformer_blocks", "visual_transformer_blocks", "text_modulation", "visual_modulation",
    "self_attention", "cross_attention", "to_query", "to_key", "to_value", "out_layer",
    "text_proj", "gate_proj", "up_proj", "linear_fc2",
    "mlp_t5", "extra_embedder", "default_modulation", "kv_proj",
    "video_patch_proj", "audio_patch_proj", "condition_proj", "time_embedder", "token_refiner", "qkv_proj",
    "adaln_proj", "video_out", "audio_out", "final_norm",
    # Mochi
    "mod_x", "mod_y", "qkv_x", "qkv_y", "proj_x", "proj_y", "mlp_x", "mlp_y", "t5_y_embedder", "t5_yproj",
    # diffusers' names of Wan, LTX, Mochi, Cosmos, Lumina 2
    "condition_embedder", "time_proj", "image_embedder", "audio_proj_in", "audio_time_embed",
    "av_cross_attn_video_scale_shift", "av_cross_attn_video_a2v_gate", "av_cross_attn_audio_scale_shift",
    "av_cross_attn_audio_v2a_gate", "caption_proj", "face_adapter",
    # HunyuanVideo 1.5, HunyuanImage, JoyImage, Lens, CogVideoX (its attn_out and ff_proj are in its table)
    "byt5_in", "vision_in", "time_r_in", "img_attn_qkv", "img_attn_proj", "txt_attn_qkv", "txt_attn_proj",
    "img_qkv", "txt_qkv", "patch_embed",
    # Wan Animate, S2V, HuMo, camera, SCAIL, WanDancer
    "conv1_local", "conv1_global", "face_encoder", "pose_patch_embedding", "fuser_blocks", "linear1_q",
    "linear1_kv", "control_adapter", "residual_blocks", "audio_injector", "casual_audio_encoder",
    "cond_encoder", "frame_packer", "injector_adain_layers", "proj_2x", "proj_4x", "audio_cross_attn",
    "audio_cross_attn_wrapper", "audio_proj", "audio_proj_glob_1", "audio_proj_glob_2", "audio_proj_glob_3",
    "patch_embedding_pose", "patch_embedding_global", "head_global", "img_emb_refimage", "music_encoder",
    "music_injector", "music_projection",
    # Boogu, Ideogram 4, HiDream O1, PixelDiT, PiD, Z-Image in pixels, Cascade B
    "double_stream_layers", "single_stream_layers", "img_feed_forward", "img_instruct_attn", "img_norm1",
    "img_norm2", "img_norm3", "img_out", "img_self_attn", "img_to_k", "img_to_q", "img_to_v",
    "instruct_feed_forward", "instruct_norm1", "instruct_norm2", "instruct_out", "instruct_to_k",
    "instruct_to_q", "instruct_to_v", "input_proj", "llm_cond_proj", "mlp_in", "mlp_out", "t_embedding",
    "down_proj", "final_layer2", "language_model", "linear_fc1", "t_embedder1", "adaLN_modulation_img",
    "adaLN_modulation_mlp", "adaLN_modulation_msa", "adaLN_modulation_txt", "compress_to_attn",
    "expand_from_attn", "patch_blocks", "pixel_blocks", "pixel_embedder", "s_embedder", "content_proj",
    "gate_modules", "latent_proj", "lq_proj", "output_heads", "cond_embed", "dec_net", "res_blocks",
    "clip_mapper", "effnet_mapper", "pixels_mapper", "up_repeat_mappers",
    # ACE-Step, MiniMax Music, TripoSplat, Hunyuan3D
    "depth_conv", "early_conv_layers", "genre_embedder", "inverted_conv", "linear_k", "linear_pos",
    "linear_q", "linear_v", "lyric_encoder", "lyric_proj", "point_conv", "speaker_embedder", "w_1", "w_2",
    "diffusion_transformer", "latent_conditioners", "postprocess_conv", "preprocess_conv", "project_in",
    "project_out", "to_qkv", "to_timestep_embed", "cam_out_layer", "cam_refiner", "cond_embedder",
    "cond_embedder2", "content_map", "context_repo_layers", "final_map", "gate_map", "input_layer",
    "noise_repo_layers", "repo_layers", "cond_in", "latent_in", "cond_proj", "skip_linear",
)
# fmt: on

COMPOUNDS = frozenset(_UNET + _FLUX + _TRANSFORMERS)
