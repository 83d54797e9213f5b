"""The world inside a ComfyUI of this process: its own loaders, its own sampler, the pack's own nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from klora_core.toy import encode
from tools.host.inprocess import enter_host

from ..model.sampling import GUIDANCE, STEPS
from ..places import BASE_FILE, VAE_FILE

enter_host()
import comfy.sample  # noqa: E402
import comfy.sd  # noqa: E402
import comfy.utils  # noqa: E402
from comfy.patcher_extension import WrappersMP  # noqa: E402, F401


def load_model(path: Path = BASE_FILE) -> Any:
    """The base as MODEL (ModelPatcher)."""
    with torch.inference_mode():
        return comfy.sd.load_diffusion_model(str(path))


def load_vae(path: Path = VAE_FILE) -> Any:
    """The VAE."""
    return comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(path)))


def conditioning(text: str) -> list:
    """CONDITIONING of one caption."""
    context, pooled = encode(text)
    return [[context, {"pooled_output": pooled}]]


class Words:
    """Words of the world as a CLIP gives them: nodes ask a CLIP for no more than this."""

    cond_stage_model = None

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens_scheduled(self, tokens: str) -> list:
        return conditioning(tokens)


@torch.inference_mode()
def sample(
    model: Any,
    positive: list,
    negative: list,
    seed: int,
    count: int,
    steps: int = STEPS,
    cfg: float = GUIDANCE,
) -> Tensor:
    """Latents [count, 16, 12, 12] as the diffusion model sees them, from the host's own sampler (euler,
    simple).
    """
    latent = torch.zeros(count, 16, 12, 12)
    noise = comfy.sample.prepare_noise(latent, seed)
    out = comfy.sample.sample(
        model, noise, steps, cfg, "euler", "simple", positive, negative, latent, disable_pbar=True, seed=seed
    )
    return model.model.process_latent_in(out)
