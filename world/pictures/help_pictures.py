"""Makes the help pages' pictures on the small world.

`python -m world.pictures.help_pictures` rewrites web/docs/img, and the README's pair that fails: from the
shipped workflows Compare, Balance sweep and Methods, and the selection map of the SD1.5 workflow. The
settings are written in.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from tools.host.find import REPO
from world.pictures.board import grid, legend, strip
from world.pictures.cast import FAILS, LEAN, PAIR, WORLD, serving_world
from world.pictures.files import save
from world.pictures.on_world import MAP
from world.pictures.shots import Shot, take

FOLDER, ASSETS = REPO / "web" / "docs" / "img", REPO / "assets"
METHODS = ("K-LoRA", "LoRA Switch", "LoRA Composite", "CMLoRA")
MERGES = ("Linear", "NP-LoRA", "TIES", "KnOTS")


def _named(shot: Shot, names: Sequence[str]) -> dict[str, Image.Image]:
    return {name.removeprefix("LoRA "): shot.pictures[name] for name in names}


def _help(shot: Shot, names: Sequence[str], words: str, across: int = 2) -> Image.Image:
    return grid(_named(shot, names), f"{shot.cast.title}, {WORLD}:\n{words}", across)


def main() -> None:
    """The map, four grids, and the pair that fails as a strip."""
    with serving_world() as server:
        fused = take(server, "k-lora-sd15", PAIR, {})
        save(legend(fused.pictures[MAP]), FOLDER / "selection-map.png")
        compared = take(server, "k-lora-compare", PAIR, LEAN)
        save(_help(compared, compared.labelled[1:], compared.settings), FOLDER / "compare.jpg")
        failed = take(server, "k-lora-compare", FAILS, LEAN)
        words = f"{failed.cast.title}, {WORLD}: fails; {failed.settings}"
        save(strip(_named(failed, failed.labelled[1:]), words), ASSETS / "fails.jpg")
        swept = take(server, "k-lora-balance-sweep", PAIR, {})
        save(_help(swept, swept.labelled, swept.settings, 3), FOLDER / "balance.jpg")
        methods = take(server, "k-lora-methods", PAIR, {})
        settings = methods.settings.replace("schedule", "K-LoRA at schedule")
        save(_help(methods, METHODS, settings), FOLDER / "methods.jpg")
        save(_help(methods, MERGES, "each with its node's defaults"), FOLDER / "merges.jpg")


if __name__ == "__main__":
    main()
