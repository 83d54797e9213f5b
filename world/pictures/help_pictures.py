"""Makes the help pages' pictures on the small world.

`python -m world.pictures.help_pictures` rewrites web/docs/img, and the README's pair that fails: from the
shipped workflows Compare, Balance sweep and Methods, and the selection map of the SD1.5 workflow. The
settings are written in.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from tools.host.find import REPO
from world.pictures.board import strip
from world.pictures.cast import FAILS, LEAN, PAIR, WORLD, serving_world
from world.pictures.files import save
from world.pictures.on_world import MAP
from world.pictures.shots import Shot, take

FOLDER, ASSETS = REPO / "web" / "docs" / "img", REPO / "assets"
METHODS = ("K-LoRA", "LoRA Switch", "LoRA Composite", "CMLoRA")
MERGES = ("Linear", "NP-LoRA", "TIES", "KnOTS")


def _strip(shot: Shot, names: Sequence[str], words: str) -> Image.Image:
    pictures = {name.removeprefix("LoRA "): shot.pictures[name] for name in names}
    return strip(pictures, f"{shot.cast.title}, {WORLD}: {words}")


def main() -> None:
    """The map, and five strips."""
    with serving_world() as server:
        fused = take(server, "k-lora-sd15", PAIR, {})
        save(fused.pictures[MAP], FOLDER / "selection-map.png")
        compared = take(server, "k-lora-compare", PAIR, LEAN)
        save(_strip(compared, compared.labelled[1:], compared.settings), FOLDER / "compare.jpg")
        failed = take(server, "k-lora-compare", FAILS, LEAN)
        save(_strip(failed, failed.labelled[1:], f"fails; {failed.settings}"), ASSETS / "fails.jpg")
        swept = take(server, "k-lora-balance-sweep", PAIR, {})
        save(_strip(swept, swept.labelled, swept.settings), FOLDER / "balance.jpg")
        methods = take(server, "k-lora-methods", PAIR, {})
        settings = methods.settings.replace("schedule", "K-LoRA at schedule")
        save(_strip(methods, METHODS, settings), FOLDER / "methods.jpg")
        save(_strip(methods, MERGES, "each with its node's defaults"), FOLDER / "merges.jpg")


if __name__ == "__main__":
    main()
