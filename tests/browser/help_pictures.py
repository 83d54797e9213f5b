"""Makes the help pages' pictures on the small world: `python -m tests.browser.help_pictures` rewrites web/docs/img.

They come from the shipped workflows Compare, Balance sweep and Methods, at those workflows' own settings where
nothing else is written in, and from one run of K-LoRA Fuse, whose selection map is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from tools.host import REPO
from tools.pictures.board import strip
from tools.pictures.cast import WORLD, Cast, serving_world
from tools.pictures.files import save_jpeg, save_png
from tools.pictures.on_world import MAP
from tools.pictures.shots import Shot, take

FOLDER = REPO / "web" / "docs" / "img"
CAST = Cast("rocket", ("mosaic",))
DIALS = {"schedule": "s*", "balance": 0.0, "schedule.beta": 1.3}
METHODS = ("K-LoRA", "LoRA Switch", "LoRA Composite", "CMLoRA")
MERGES = ("Linear", "NP-LoRA", "TIES", "KnOTS")


def _strip(shot: Shot, names: Sequence[str], words: str) -> Image.Image:
    pictures = {name.removeprefix("LoRA "): shot.pictures[name] for name in names}
    return strip(pictures, f"{shot.cast.title}, {WORLD}: {words}")


def main() -> None:
    """The map, and four strips."""
    with serving_world() as server:
        fused = take(server, "k-lora-sd15", CAST, DIALS)
        save_png(fused.pictures[MAP], FOLDER / "selection-map.png", 64)
        compared = take(server, "k-lora-compare", CAST, DIALS)
        save_jpeg(_strip(compared, compared.labelled[1:], compared.settings), FOLDER / "compare.jpg")
        swept = take(server, "k-lora-balance-sweep", CAST, {})
        save_jpeg(_strip(swept, swept.labelled, swept.settings), FOLDER / "balance.jpg")
        methods = take(server, "k-lora-methods", CAST, {})
        settings = methods.settings.replace("schedule", "K-LoRA at schedule")
        save_jpeg(_strip(methods, METHODS, settings), FOLDER / "methods.jpg")
        save_jpeg(_strip(methods, MERGES, "each with its node's defaults"), FOLDER / "merges.jpg")


if __name__ == "__main__":
    main()
