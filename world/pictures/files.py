"""Pictures to files that stay small."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

THUMBNAIL, LARGE = 120_000, 400_000
"""Bytes at most: of a thumbnail or a help page's picture, and of what the README shows."""


def save(image: Image.Image, path: Path, most: int = THUMBNAIL) -> None:
    """A JPEG, or a PNG without loss, as the name says. ValueError where it has more bytes than ``most``."""
    options = {"quality": 90, "subsampling": 0} if path.suffix == ".jpg" else {}
    image.save(path, optimize=True, **options)
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{path.name} has {size} bytes, {most} at most: make the picture smaller.")
    print(path.name, size, flush=True)
