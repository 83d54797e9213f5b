"""Photographs each shipped workflow's live map, after a run on tiny models, for the Templates browser.

`python -m tests.browser.thumbnails [NAME...]` rewrites workflows/*.jpg, or the named ones. Where a workflow
makes a sheet of images, the sheet is shown instead of the map.
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
SIDE, MARGIN, ROUNDING = 640, 24, 18
IMAGE_SIDE, CELL_SIDE, CELL_STEPS = 128, 192, 12
GROUND, BADGE, GUTTER = "#15161b", 84, 8
"""BADGE is the height that the Templates browser covers with a badge of its own."""
SAVED = "app.nodeOutputs[app.rootGraph.nodes.find((node) => node.type === 'SaveImage').id].images[0]"


def tiny(graph: dict[str, Any]) -> dict[str, Any]:
    """The saved workflow with tiny files and sizes in its widgets."""
    sheet = any(node["type"] == "ImageStitch" for node in graph["nodes"])
    for node in graph["nodes"]:
        values = node["widgets_values"] = [TINY_FILES.get(value, value) for value in node["widgets_values"]]
        node["properties"].pop("models", None)
        node["type"] = STAND_INS.get(node["type"], node["type"])
        if node["type"].startswith("Empty"):
            values[:2] = [CELL_SIDE if sheet else IMAGE_SIDE] * 2
        if sheet and node.get("title") == "Steps":
            values[0] = CELL_STEPS
        if node["type"] == "ImageScaleToTotalPixels":
            values[1] = 0.01
        if node["type"] == "UNETLoader" and values[0] == "tiny-zimage.safetensors":
            node["type"] = "KLoRATestTinyZImage"
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


def rearranged(sheet: Image.Image) -> Image.Image:
    """The cells of a sheet in a square, three a row, so that their labels can be read."""
    high = sheet.height
    count = round((sheet.width + GUTTER) / (high + GUTTER))
    step = (sheet.width - high) // (count - 1)
    cells = [sheet.crop((at * step, 0, at * step + high, high)) for at in range(count)]
    rows = [cells[at : at + 3] for at in range(0, count, 3)]
    square, top = Image.new("RGB", (SIDE, SIDE), GROUND), BADGE
    # Three rows have to be smaller to fit.
    most = (SIDE - BADGE - MARGIN) // len(rows) - GUTTER
    for row in rows:
        side = min(most, (SIDE - 2 * MARGIN - GUTTER * (len(row) - 1)) // len(row))
        for i, cell in enumerate(row):
            small = cell.resize((side, side), Image.Resampling.LANCZOS)
            square.paste(small, (MARGIN + i * (side + GUTTER), top))
        top += side + GUTTER
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
    made = Image.open(io.BytesIO(server.image(saved))).convert("RGB")
    return rearranged(made) if made.width > 2 * made.height else framed(shot)


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
