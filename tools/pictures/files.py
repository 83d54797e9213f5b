"""Pictures to files that stay small."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

_JPEG, _PNG = 120_000, 400_000


def save_jpeg(image: Image.Image, path: Path) -> None:
    """A JPEG of 120 kB at most."""
    image.save(path, quality=88, optimize=True)
    _check(path, _JPEG)


def save_png(image: Image.Image, path: Path, colours: int = 256) -> None:
    """A PNG with a palette, of 400 kB at most."""
    image.quantize(colours, Image.Quantize.MEDIANCUT).save(path, optimize=True)
    _check(path, _PNG)


def _check(path: Path, most: int) -> None:
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{path.name} has {size} bytes, {most} at most: fewer colours or smaller pictures.")
    print(path.name, size, flush=True)
