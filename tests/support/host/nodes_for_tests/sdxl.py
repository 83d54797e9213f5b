"""SDXL's two text encoders: 0.8 B parameters, which the host fixes and no file tells."""

from __future__ import annotations

import comfy.sd
import folder_paths
from comfy.sdxl_clip import SDXLClipModel, SDXLTokenizer
from comfy_api.latest import io

from .text import small_clip

# They give the last layer but one, which the host wants a third for.
SMALL = {f"clip_{name}_model_config": {"num_hidden_layers": 3} for name in "lg"}


class TinySDXL(io.ComfyNode):
    """In the place of CheckpointLoaderSimple: model and VAE by the host's own loader."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRATestTinySDXL",
            category="testing",
            inputs=[io.String.Input("ckpt_name")],
            outputs=[io.Model.Output(), io.Clip.Output(), io.Vae.Output()],
        )

    @classmethod
    def execute(cls, ckpt_name: str) -> io.NodeOutput:
        path = folder_paths.get_full_path_or_raise("checkpoints", ckpt_name)
        model, _, vae, _ = comfy.sd.load_checkpoint_guess_config(path, output_clip=False)
        return io.NodeOutput(model, small_clip(SDXLTokenizer, SDXLClipModel, SMALL), vae)
