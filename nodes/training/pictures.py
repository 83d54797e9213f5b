"""Latents of pictures to learn from: what each LoRA makes alone in the host's own sampler, and given ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_sampling
import comfy.sample
import comfy.sd
import latent_preview
import torch
from torch import Tensor

from ...klora_core.errors import KLoraError
from ...klora_core.train import Item
from .kept import digest, recall


@dataclass(frozen=True)
class Sampling:
    """How pictures are made; ``scheduler`` empty: the one that suits the model."""

    width: int = 1024
    height: int = 1024
    steps: int = 20
    cfg: float = 4.0
    seed: int = 0
    sampler: str = "euler"
    scheduler: str = ""


def own_pictures(
    model: Any,
    lora: Sequence[Any],
    put_on: Callable[[], Any],
    prompts: Sequence[list],
    negative: list,
    count: int,
    how: Sampling,
) -> list[Item]:
    """``count`` pictures of ``model`` with one LoRA, of all ``prompts`` in turn, as items with their prompt.

    ``put_on`` gives the model with that LoRA, ``lora`` is all that decides on it. The same pictures as last
    time, where they are still kept.
    """
    name = f"{digest(model, *lora, prompts, negative, count, how)}-pictures"

    def make() -> dict[str, Tensor]:
        with_lora = put_on()
        latents = [
            sampled(with_lora, prompts[i % len(prompts)], negative, how, how.seed + i) for i in range(count)
        ]
        return {"latents": torch.cat(latents)}

    seen = as_seen(model, recall(name, make)["latents"]).split(1)
    return [Item(latent, prompts[i % len(prompts)]) for i, latent in enumerate(seen)]


def sampled(
    model: Any, positive: list, negative: list, how: Sampling, seed: int, callback: Callable | None = None
) -> Tensor:
    """A picture's latent [1, ...] from noise alone, as the host's own KSampler makes it.

    ``callback`` is told of its steps in the place of a progress bar of its own.
    """
    form = model.get_model_object("latent_format")
    shrink = getattr(form, "spacial_downscale_ratio", 8)
    empty = torch.zeros(1, form.latent_channels, max(1, how.height // shrink), max(1, how.width // shrink))
    empty = comfy.sample.fix_empty_latent_channels(model, empty)
    if empty.is_nested:
        raise KLoraError(
            "this model makes picture and sound at once, which is not learned here.", "Connect latents"
        )
    flows = isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.CONST)
    return comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(empty, seed),
        how.steps,
        how.cfg,
        how.sampler,
        how.scheduler or ("simple" if flows else "normal"),
        positive,
        negative,
        empty,
        callback=callback or latent_preview.prepare_callback(model, how.steps),
        disable_pbar=True,
        seed=seed,
    )


def as_seen(model: Any, latents: Tensor) -> Tensor:
    """Latents as the network sees them, [b, ...], float32 on the CPU and of no inference mode."""
    with torch.inference_mode(False):
        plain = latents.detach().cpu().float().clone()
        plain = comfy.sample.fix_empty_latent_channels(model, plain)
        return model.model.process_latent_in(plain).clone()


def given(model: Any, latents: Any | None, images: Tensor | None, vae: Any | None) -> Tensor | None:
    """The latents of pictures that were connected, as the network sees them; None where none were.

    Raises KLoraError for pictures without a VAE.
    """
    found = []
    if latents is not None:
        samples = latents["samples"]
        if samples.is_nested:
            raise KLoraError(
                "those of picture and sound together are not learned.", "Connect latents of pictures"
            )
        found.append(as_seen(model, samples))
    if images is not None:
        if vae is None:
            raise KLoraError("the images need one.", "Connect a VAE, or connect latents instead of images")
        found.append(as_seen(model, vae.encode(images[..., :3])))
    if len({each.shape[1:] for each in found}) > 1:
        raise KLoraError("these two have different ones.", "Connect images or latents of one size")
    return torch.cat(found) if found else None
