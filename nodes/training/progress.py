"""How far a training is, on its node: the steps, and the loss so far as a picture."""

from __future__ import annotations

import time
from collections.abc import Sequence

import comfy.model_management
import comfy.utils

from ...klora_core.picture import draw_losses

# Seconds between two pictures: each goes to the page.
_EACH = 1.0


class Steps:
    """The host's progress bar over the steps of a training; a stop that the user asked for is raised here."""

    def __init__(self, steps: int) -> None:
        self._steps, self._bar, self._drawn = steps, comfy.utils.ProgressBar(steps), 0.0

    def __call__(self, done: int, losses: Sequence[float]) -> None:
        """Told after each step. Raises the host's interrupt."""
        preview, now = None, time.monotonic()
        if now - self._drawn > _EACH or done == self._steps:
            self._drawn = now
            picture = draw_losses(losses, self._steps)
            preview = ("JPEG", picture, max(picture.size))
        self._bar.update_absolute(done, self._steps, preview)
        comfy.model_management.throw_exception_if_processing_interrupted()
