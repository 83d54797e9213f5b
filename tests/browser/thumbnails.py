"""Photographs each shipped workflow's live map, after a run on tiny models, for the Templates browser.

`python -m tests.browser.thumbnails` rewrites workflows/*.jpg.
"""

from __future__ import annotations

import io
import json
from typing import Any

from PIL import Image

from tests.browser.live_page import browser, load, look_at_fuse, page, run
from tools.host import REPO
from tools.server import serving
from tools.tiny.prompts import TINY_FILES

TEST_NODE = REPO / "tests" / "host" / "nodes_for_tests" / "tiny_flux_text.py"
SIDE, MARGIN, ROUNDING = 640, 24, 18


def tiny(graph: dict[str, Any]) -> dict[str, Any]:
    """The saved workflow with tiny files and sizes in its widgets."""
    for node in graph["nodes"]:
        node["widgets_values"] = [TINY_FILES.get(value, value) for value in node["widgets_values"]]
        node["properties"].pop("models", None)
        if node["type"].startswith("Empty"):
            node["widgets_values"][:2] = [64, 64]
        if node["type"] == "DualCLIPLoader":
            node["type"] = "KLoRATestTinyFluxText"
    return graph


def framed(map_: Image.Image) -> Image.Image:
    """The map in the middle of a square of its own background."""
    map_ = map_.crop((ROUNDING, ROUNDING, map_.width - ROUNDING, map_.height - ROUNDING))
    inside = SIDE - 2 * MARGIN
    scale = inside / max(map_.size)
    small = map_.resize((round(map_.width * scale), round(map_.height * scale)), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (SIDE, SIDE), map_.getpixel((map_.width // 2, 6)))
    square.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
    return square


def main() -> None:
    """One JPEG a workflow."""
    with serving("sd15", "sdxl", "flux", extra_nodes=[TEST_NODE]) as server, browser() as chromium:
        for path in sorted((REPO / "workflows").glob("*.json")):
            with page(chromium, server, width=1600, sharpness=2, VueNodes__Enabled=True) as opened:
                opened.set_default_timeout(300_000)
                load(opened, tiny(json.loads(path.read_text(encoding="utf-8"))))
                run(opened)
                look_at_fuse(opened, zoom=1.2)
                opened.wait_for_timeout(2000)
                shot = opened.locator(".klora-map").screenshot()
            picture = framed(Image.open(io.BytesIO(shot)).convert("RGB"))
            picture.save(path.with_suffix(".jpg"), quality=88, optimize=True)
            print(path.with_suffix(".jpg").name)


if __name__ == "__main__":
    main()
