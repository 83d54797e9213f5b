"""Photographs each shipped workflow's live map, after a run on tiny models, for the Templates browser.

`python -m tests.browser.thumbnails [NAME...]` rewrites workflows/*.jpg, or the named ones. Where a workflow
makes a sheet of images, the sheet is shown above the map.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.live_page import browser, load, look_at_fuse, page, run
from tools.host import REPO
from tools.server import Server, serving
from tools.tiny import loras
from tools.tiny.prompts import TINY_FILES

NODES = REPO / "tests" / "host" / "nodes_for_tests"
STAND_INS = {"DualCLIPLoader": "KLoRATestTinyFluxText", "CLIPLoader": "KLoRATestTinyZImageText"}
SIDE, MARGIN, ROUNDING, CELL = 640, 24, 18, 128
SAVED = "app.nodeOutputs[app.rootGraph.nodes.find((node) => node.type === 'SaveImage').id].images[0]"


def tiny(graph: dict[str, Any]) -> dict[str, Any]:
    """The saved workflow with tiny files and sizes in its widgets."""
    for node in graph["nodes"]:
        values = node["widgets_values"] = [TINY_FILES.get(value, value) for value in node["widgets_values"]]
        node["properties"].pop("models", None)
        node["type"] = STAND_INS.get(node["type"], node["type"])
        if node["type"].startswith("Empty"):
            values[:2] = [CELL, CELL]
        if node["type"] == "ImageScaleToTotalPixels":
            values[1] = 0.01
        if node["type"] == "UNETLoader" and values[0] == "tiny-zimage.safetensors":
            node["type"] = "KLoRATestTinyZImage"
    return graph


def framed(*pictures: Image.Image) -> Image.Image:
    """Pictures below each other in the middle of a square of the last one's background."""
    widest = max(picture.width for picture in pictures)
    fitted = [
        p.resize((widest, round(p.height * widest / p.width)), Image.Resampling.LANCZOS) for p in pictures
    ]
    height = sum(picture.height for picture in fitted)
    scale = (SIDE - 2 * MARGIN) / max(widest, height)
    square = Image.new("RGB", (SIDE, SIDE), fitted[-1].getpixel((widest // 2, 6)))
    top = round((SIDE - height * scale) / 2)
    for picture in fitted:
        size = round(widest * scale), round(picture.height * scale)
        square.paste(picture.resize(size, Image.Resampling.LANCZOS), ((SIDE - size[0]) // 2, top))
        top += size[1]
    return square


def photograph(chromium: Any, server: Server, path: Path) -> Image.Image:
    """Load, run and photograph one workflow."""
    with page(chromium, server, width=1600, sharpness=2, VueNodes__Enabled=True) as opened:
        opened.set_default_timeout(400_000)
        load(opened, tiny(json.loads(path.read_text(encoding="utf-8"))))
        run(opened)
        look_at_fuse(opened, zoom=1.2)
        opened.wait_for_timeout(2000)
        shot = Image.open(io.BytesIO(opened.locator(".klora-map").first.screenshot())).convert("RGB")
        saved = opened.evaluate(SAVED)
    map_ = shot.crop((ROUNDING, ROUNDING, shot.width - ROUNDING, shot.height - ROUNDING))
    made = Image.open(io.BytesIO(server.image(saved))).convert("RGB")
    return framed(made, map_) if made.width > 2 * made.height else framed(map_)


def main(names: list[str]) -> None:
    """One JPEG a workflow."""
    paths = [path for path in sorted((REPO / "workflows").glob("*.json")) if not names or path.stem in names]
    with tempfile.TemporaryDirectory() as folder:
        loras.write_lightning(Path(folder))
        test_nodes = sorted(NODES.glob("*.py"))
        families = ("sd15", "sdxl", "flux", "zimage")
        with serving(*families, extra_nodes=test_nodes, loras=Path(folder)) as server, browser() as chromium:
            for path in paths:
                picture = photograph(chromium, server, path)
                picture.save(path.with_suffix(".jpg"), quality=88, optimize=True)
                print(path.with_suffix(".jpg").name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
