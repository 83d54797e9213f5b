"""The templates as the page opens them: readable in the classic renderer, in a small window too."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.browser.live_page import CLASSIC, SHOTS, renewed
from tools.workflows.families import TOY
from tools.workflows.shipped import FOLDER, SHIPPED, path_of

READABLE = 8 / 14
"""The zoom below which the classic renderer draws no text."""
WINDOWS = {(1500, 920): 0.6, (1100, 700): READABLE}
"""The least zoom that a template opens with in a window."""
OPEN = """async ([graph, name]) => {
  await app.loadGraphData(graph, true, true, name, { openSource: 'template' })
  const { ds, low_quality } = app.canvas
  const note = app.rootGraph.nodes.find((node) => node.type === 'MarkdownNote')
  const other = ({ type }) => /^KLoRA(Train|Sweep|PickAnd)/.test(type)
  const fuse = klora.fuse() ?? app.rootGraph.nodes.find(other)
  const on = (x, y) => app.canvas.ds.convertOffsetToCanvas([x, y])
  // What is below its last row is empty.
  const foot = ({ size, widgets }) => {
    const shown = widgets.filter((widget) => !widget.hidden && widget.last_y !== undefined)
    return Math.min(size[1], Math.max(...shown.map((one) => one.last_y + (one.computedHeight ?? 20))))
  }
  const box = (node) => [...on(...node.pos), ...on(node.pos[0] + node.size[0], node.pos[1] + foot(node))]
  return { zoom: ds.scale, low: low_quality, note: box(note), fuse: box(fuse) }
}"""


@CLASSIC
def test_every_template_opens_readable_in_a_small_window(window):
    """In the larger one test_shipped_workflows looks at each."""
    opened, size = window, (1100, 700)
    with renewed(opened, *size):
        for name in SHIPPED:
            look = opened.evaluate(OPEN, [json.loads(path_of(name).read_text(encoding="utf-8")), name])
            check_readable(opened, look, name, size)


def check_readable(opened: Any, look: dict[str, Any], name: str, size: tuple[int, int]) -> None:
    """A template that was just opened in the classic renderer, in a window: near enough, letters are seen."""
    opened.wait_for_timeout(400)
    assert look["zoom"] >= WINDOWS[size], name
    assert not look["low"], name
    shot = opened.screenshot()
    SHOTS.mkdir(parents=True, exist_ok=True)
    (SHOTS / f"template-{name}-{size[0]}.png").write_bytes(shot)
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("L"), np.float32)
    # White text on black, and light text on the node's green.
    for box in (look["note"], look["fuse"]):
        left, top, right, bottom = (round(edge) for edge in box)
        assert written(pixels[max(top, 0) : bottom, max(left, 0) : right]) > 0.01, (name, box)


def written(pixels: np.ndarray) -> float:
    """The share of pixels that are much lighter than the ground: letters."""
    return float((pixels > np.median(pixels) + 70).mean())


def test_the_page_lists_every_template_and_nothing_else(chromium, server):
    listed = server.get("/api/workflow_templates")
    (ours,) = (names for pack, names in listed.items() if pack == "k-lora")
    assert sorted(ours) == sorted(shipped.title for shipped in SHIPPED.values())
    assert all(path_of(name, "jpg").is_file() for name in SHIPPED)
    assert {path.suffix for path in FOLDER.iterdir() if path.is_file()} == {".json", ".jpg"}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_file_that_the_page_would_miss_can_be_had(name):
    """Each file name in a widget is offered with an address, in the folder that its loader reads."""
    workflow = json.loads(path_of(name).read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        offered = {file["name"]: file for file in node["properties"].get("models", [])}
        wanted = {str(value) for value in node["widgets_values"] if is_model(value)}
        # The toy model's lie beside the pack: its note says where.
        wanted -= {file.name for file in TOY.files}
        assert wanted == set(offered), node["type"]
        for file in offered.values():
            assert file["url"].startswith("https://huggingface.co/")
            assert file["url"].endswith(f"/{file['name']}")
            assert file["directory"] in folders(node["type"]), node["type"]


def is_model(value: Any) -> bool:
    return str(value).endswith((".safetensors", ".ckpt", ".pt", ".sft", ".gguf")) and "\n" not in str(value)


def folders(kind: str) -> tuple[str, ...]:
    """Where a loader looks."""
    if "Lora" in kind or kind == "KLoRALoadPair":
        return ("loras",)
    return {
        "CheckpointLoaderSimple": ("checkpoints",),
        "UNETLoader": ("diffusion_models",),
        "VAELoader": ("vae",),
    }.get(kind, ("text_encoders",))
