"""Pictures as files in the host's temporary folder, as IMAGE, and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import comfy.utils
import latent_preview
import numpy as np
import torch
from torch import Tensor

from ....klora_core.picture import pixels_of, write_pixels
from ....klora_core.train.picks import Pick, Picks, Picture
from ...training import content_of
from .making import SHEETS

_SUFFIX = ".png"
_FOLDER = "klora_picks"


class Films:
    """Latents to pictures by one VAE, each decoded once. They are named by content: job, rule, noise, VAE."""

    def __init__(self, vae: Any) -> None:
        self._vae, self._name = vae, _name_of(vae)

    def file(self, name: str) -> str:
        """The file's name of the picture of a latent's ``name``."""
        return f"{name}-{self._name}{_SUFFIX}"

    def pixels(self, name: str, latent: Tensor) -> Tensor:
        """[height, width, 3] from 0 to 255, as the file has them."""
        stem = self.file(name).removesuffix(_SUFFIX)
        path = SHEETS.path(stem, _SUFFIX)
        if not path.is_file():
            decoded = self._vae.decode(latent)
            # A video's first picture.
            frame = decoded.reshape(-1, *decoded.shape[-3:])[0, ..., :3]
            values = np.rint(frame.float().clamp(0, 1).cpu().numpy() * 255).astype(np.uint8)
            SHEETS.write(stem, _SUFFIX, lambda to: write_pixels(values, to))
        else:
            values = pixels_of(path)
        return torch.from_numpy(np.array(values))


def _name_of(vae: Any) -> str:
    """What tells a VAE from others: a few numbers of each of its weights."""
    told = [
        [key, tuple(weight.shape), weight.detach().flatten()[:8].float().cpu()]
        for key, weight in vae.first_stage_model.state_dict().items()
    ]
    return content_of(told)[:8]


class Progress:
    """The host's bar over all steps of the pictures that are missing, with a preview of the one at work."""

    def __init__(self, model: Any, steps: int) -> None:
        self._model, self._steps = model, steps
        self.expect(0)

    def expect(self, pictures: int) -> None:
        """A new bar, over so many pictures."""
        self._bar, self._done = comfy.utils.ProgressBar(max(1, pictures * self._steps)), 0

    @cached_property
    def _preview(self) -> Any:
        return latent_preview.get_previewer(self._model.load_device, self._model.model.latent_format)

    def __call__(self, step: int, x0: Tensor, x: Tensor, total_steps: int) -> None:
        """As a sampler tells of each of its steps."""
        self._done += 1
        preview = None if self._preview is None else self._preview.decode_latent_to_preview_image("JPEG", x0)
        self._bar.update_absolute(self._done, preview=preview)


def for_page(picture: Picture, file: str, picks: Picks, size: Sequence[int]) -> dict[str, Any]:
    """A picture as the page gets it; ``size`` is its width and height."""
    pick = Pick(picture.round, picture.rule, picture.seed, picture.place)
    return {
        "place": picture.place,
        "round": picture.round,
        "rule": picture.rule.name,
        "seed": picture.seed,
        "group": picture.group,
        "line": pick.line(),
        "picked": pick in picks.picks,
        "image": {"filename": file, "subfolder": _FOLDER, "type": "temp"},
        "width": size[0],
        "height": size[1],
    }
