"""The demo without a host: the small world in diffusers' StableDiffusion3Pipeline, the pack's own plan on it.

python -m world.demo.in_diffusers FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline
from diffusers.utils import logging as diffusers_logging
from torch import Tensor
from transformers.utils import logging as transformers_logging

from klora_core.fuse import fuse
from klora_core.plan import Plan
from klora_core.toy import encode
from world.hosts.in_diffusers import decode, load_transformer, load_vae
from world.model.sampling import GUIDANCE, first_noise, noise_levels
from world.pairs import Pair

from . import run as demo

_ADAPTERS = {demo.SUBJECT: ["subject"], demo.STYLE: ["style"], demo.SUM: ["subject", "style"]}


def pipeline() -> StableDiffusion3Pipeline:
    """The small world as a pipeline; it has no text encoders, captions are vectors of words."""
    nothing = dict.fromkeys(
        f"{kind}{number}" for kind in ("text_encoder", "tokenizer") for number in ("", "_2", "_3")
    )
    pipe = StableDiffusion3Pipeline(
        transformer=load_transformer(), scheduler=FlowMatchEulerDiscreteScheduler(), vae=load_vae(), **nothing
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def latents(
    pipe: StableDiffusion3Pipeline, prompt: str, seed: int = demo.SEED, count: int = demo.COUNT
) -> Tensor:
    """Latents [count, 16, 12, 12], at the noise levels and from the noise that the host would use."""
    rows = [row.expand(count, *row.shape[1:]) for text in (prompt, "") for row in encode(text)]
    context, pooled, without, pooled_without = rows
    return pipe(
        prompt_embeds=context,
        pooled_prompt_embeds=pooled,
        negative_prompt_embeds=without,
        negative_pooled_prompt_embeds=pooled_without,
        latents=first_noise(seed, count),
        sigmas=noise_levels(demo.STEPS)[:-1].tolist(),
        guidance_scale=GUIDANCE,
        height=96,
        width=96,
        output_type="latent",
    ).images


def run() -> demo.Made:
    """All that the demo shows: what is no fusion by diffusers' own adapters."""
    pipe = pipeline()

    def start(pair: Pair) -> tuple[demo.Sample, Plan]:
        paths = {"subject": demo.lora(pair.subject), "style": demo.lora(pair.style)}
        fusion = fuse(pipe.transformer, paths["subject"], paths["style"], balance=demo.BALANCE)

        def sample(way: str) -> Tensor:
            if way == demo.KLORA:
                with fusion.run(pipe.scheduler):
                    return latents(pipe, pair.prompt)
            for name in _ADAPTERS[way]:
                path = paths[name]
                pipe.load_lora_weights(path.parent, weight_name=path.name, adapter_name=name)
            pipe.set_adapters(_ADAPTERS[way])
            try:
                return latents(pipe, pair.prompt)
            finally:
                pipe.unload_lora_weights()

        return sample, fusion.plan

    return demo.make(start, lambda found: decode(pipe.vae, found))


if __name__ == "__main__":
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    demo.write(run, Path(sys.argv[1]))
