"""The K-LoRA Selection Map node: the plan as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..klora_core import picture
from ..klora_core.plan import Plan
from .composing import KLoraPlan, report_of
from .inputs import checked
from .model import supposed, with_run


class KLoRASelectionMap(io.ComfyNode):
    """Draw which LoRA each layer uses in each step."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRASelectionMap",
            display_name="K-LoRA Selection Map",
            category="K-LoRA",
            description="Draws which LoRA won which layer in which step, and the style's share below.",
            search_aliases=["klora", "lora map", "visualize lora"],
            inputs=[
                KLoraPlan.Input("plan", tooltip="The plan output of K-LoRA Fuse."),
                io.Int.Input(
                    "steps",
                    default=30,
                    min=1,
                    max=1000,
                    tooltip="The number of steps of your sampler: the columns are its steps. By noise level, "
                    "and without sigmas, they are equal parts of the noise.",
                ),
                io.Sigmas.Input(
                    "sigmas",
                    optional=True,
                    tooltip="The sampler's sigmas, from its scheduler node: shows exactly the steps of that "
                    "run. Then steps is not used.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="The sampler's latent: the map is drawn after that run. With MoLE and Arrow it "
                    "then shows what their gates did in it; before a run that is decided by the picture.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The map, one image."),
                io.String.Output("report", tooltip="The decisions in words, over the steps of the map."),
            ],
        )

    @classmethod
    @checked
    def execute(
        cls, plan: Plan, steps: int, sigmas: torch.Tensor | None = None, latent: Any = None
    ) -> io.NodeOutput:
        run = None if sigmas is None or len(sigmas) < 2 else sigmas.tolist()
        if run is None or sigmas is None:
            over = plan.progress.of_steps(steps)
        else:
            over = plan.progress.of_run(run, supposed(sigmas))
        pixels = np.asarray(picture.draw(with_run(plan), over), dtype=np.float32) / 255.0
        return io.NodeOutput(torch.from_numpy(pixels)[None], report_of(plan, over))
