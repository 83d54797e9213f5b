"""What the commands write where they are asked to: text, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import outputs
from ..errors import KLoraError


def write(path: Path, text: str) -> None:
    """Write ``text``. Raises KLoraError where the system does not let it be written."""
    with outputs.replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def plot(path: Path, draw: Callable[[ModuleType], Any]) -> None:
    """Save what ``draw`` makes of the room of pictures. Raises KLoraError without Pillow, for a name that
    tells no kind of picture, and where nothing can be drawn or written."""
    try:
        from .. import picture
    except ImportError as error:
        raise KLoraError(f"--plot needs Pillow ({error}).", "Install Pillow (pip install Pillow)") from error
    try:
        with outputs.replacing(path) as beside:
            draw(picture).save(beside)
    except KLoraError:
        raise
    except ValueError as error:
        raise KLoraError(f"can't draw {path}: {error}.", "Give a file name that ends in .png") from error
