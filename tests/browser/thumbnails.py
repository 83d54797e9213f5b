"""Makes each shipped workflow's thumbnail for the Templates browser: what it is for, shown on the small world.

`python -m tests.browser.thumbnails [NAME...]` rewrites workflows/*.jpg, or the named ones: in a real ComfyUI,
with the workflow's own K-LoRA nodes, settings, steps and seed. Loaders, words, size, sampler and guidance are
the small world's (world/README.md).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from tools.host import REPO
from tools.pictures import layouts
from tools.pictures.cast import Cast, serving_world
from tools.pictures.files import save_jpeg
from tools.pictures.shots import take
from tools.server import Server

@dataclass(frozen=True)
class Thumbnail:
    """Title, who is shown, how; and K-LoRA settings that differ from the workflow's."""

    title: str
    cast: Cast
    layout: layouts.Layout
    dials: Mapping[str, Any] = field(default_factory=dict)


_ROCKET, _FISH, _MUSHROOM = (Cast(name, ("halftone",)) for name in ("rocket", "fish", "mushroom"))
_TILES = Cast("rocket", ("mosaic",))
THUMBNAILS = {
    "k-lora-sd15": Thumbnail("SD1.5", _ROCKET, layouts.large_right),
    "k-lora-sdxl": Thumbnail("SDXL", _FISH, layouts.large_left),
    "k-lora-flux": Thumbnail("FLUX", _MUSHROOM, layouts.row_and_map),
    "k-lora-z-image": Thumbnail("Z-Image", _TILES, layouts.row_and_map),
    "k-lora-lightning": Thumbnail("Lightning: four steps", _ROCKET, layouts.row_and_map),
    "k-lora-img2img": Thumbnail("Image to image", _MUSHROOM, layouts.before_after),
    "k-lora-compare": Thumbnail("Compare", _TILES, layouts.sheet),
    "k-lora-balance-sweep": Thumbnail("What balance does", _MUSHROOM, layouts.sheet),
    "k-lora-methods": Thumbnail("Every method", _ROCKET, layouts.sheet),
    "k-lora-many-styles": Thumbnail(
        "Two styles merged", Cast("fish", ("halftone", "mosaic")), layouts.three_and_map
    ),
    "k-lora-lora-stack": Thumbnail(
        "Any number of LoRAs", Cast("fish", ("halftone", "mosaic")), layouts.three_and_map
    ),
}


def thumbnail(server: Server, name: str) -> Image.Image:
    """Run one workflow on the world and lay its pictures out."""
    wanted = THUMBNAILS[name]
    return wanted.layout(take(server, name, wanted.cast, wanted.dials), wanted.title)


def main(names: list[str]) -> None:
    """One JPEG a workflow."""
    with serving_world() as server:
        for name in names or THUMBNAILS:
            save_jpeg(thumbnail(server, name), REPO / "workflows" / f"{name}.jpg")


if __name__ == "__main__":
    main(sys.argv[1:])
