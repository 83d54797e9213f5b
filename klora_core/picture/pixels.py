"""Pictures as they are to and from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_pixels(values: np.ndarray, path: Path) -> None:
    """``values`` uint8 [height, width, 3] as a PNG file without any words in it."""
    Image.fromarray(values).save(path, format="PNG", compress_level=1)


def pixels_of(path: Path) -> np.ndarray:
    """What :func:`write_pixels` wrote."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
