"""The sheet of Pick and Learn on a page: what it shows, and ones that no server made."""

from __future__ import annotations

import json
import uuid

from tests.support.browser.live_page import SHOTS, load
from tools.workflows.shipped import path_of

NODE = "app.rootGraph.nodes.find((node) => node.type === 'KLoRAPickAndLearn')"
PICKS = f"{NODE}.widgets.find((widget) => widget.name === 'picks').value"
LABELS = "[...document.querySelectorAll('.klora-cell')].map((cell) => cell.getAttribute('aria-label'))"
TITLE = "document.querySelector('.klora-sheet .klora-title').textContent"
STATUS = "document.querySelector('.klora-sheet .klora-status').textContent"
LOOK = f"""() => {{
  const node = {NODE}
  const {{ ds, canvas }} = app.canvas
  ds.scale = 0.9
  ds.offset = [
    canvas.clientWidth / 2 / 0.9 - node.pos[0] - node.size[0] / 2,
    canvas.clientHeight / 2 / 0.9 - node.pos[1] - node.size[1] / 2,
  ]
  app.canvas.setDirty(true, true)
}}"""
SMALL = {"width": 64, "height": 64, "pictures": 1, "rules": "sum 0.7\nsum 1/0.5", "learning_steps": 2}


def template() -> dict:
    """The shipped template on tiny files, as nobody ran it yet."""
    graph = json.loads(path_of("k-lora-pick").read_text(encoding="utf-8"))
    graph["id"] = str(uuid.uuid4())
    small = {
        "CheckpointLoaderSimple": ["tiny-sd15.safetensors"],
        "KLoRALoadPair": ["tiny-subject-sd15.safetensors", "tiny-style-sd15.safetensors"],
        "EmptyLatentImage": [64, 64, 1],
        "PrimitiveInt": [2, "fixed"],
    }
    for node in graph["nodes"]:
        node.get("properties", {}).pop("models", None)
        node["widgets_values"] = small.get(node["type"], node.get("widgets_values", []))
    return graph


def opened_in(page, **more):
    load(page, template())
    page.evaluate(
        f"""(small) => {NODE}.widgets.forEach((widget) => {{
          if (widget.name in small) widget.value = small[widget.name]
        }})""",
        {**SMALL, **more},
    )
    page.wait_for_timeout(800)
    page.evaluate(LOOK)
    page.wait_for_timeout(600)


def document(count=6, **more):
    """A sheet that no server made."""
    pictures = [
        {
            "place": i, "round": 1, "rule": f"sum 0.{i}", "seed": i, "group": 0,
            "line": f"1, sum 0.{i}, {i}, {i}", "picked": False, "width": 64, "height": 64,
            "image": {"filename": f"gone{i}.png", "subfolder": "none", "type": "temp"},
        }
        for i in range(1, count + 1)
    ]  # fmt: skip
    told = {"round": 1, "shown": [], "taken": "", "of": count, "part": [1, 1], "hint": "", "best": ""}
    return {**told, "pictures": pictures, **more}


def send(page, told):
    page.evaluate(f"(told) => {NODE}.onExecuted({{ klora_picks: [told] }})", told)
    page.wait_for_function(f"document.querySelectorAll('.klora-cell').length === {len(told['pictures'])}")


def shot(page, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"pick-{name}-{page.renderer}.png")
