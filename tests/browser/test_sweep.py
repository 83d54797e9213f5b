"""K-LoRA Sweep in the page: one node, a sheet of all its images, and no map, which could show one of them."""

from __future__ import annotations

import json
import uuid

from tests.support.browser.live_page import SHOTS, load, renewed, run
from tools.workflows.on_tiny import TINY_FILES
from tools.workflows.shipped import path_of

SWEEP = "app.rootGraph.nodes.find((node) => node.type === 'KLoRASweep')"
ADVANCED = "klora_advanced"
"""The row that folds the advanced inputs: of the pack's own widgets the only one here, so no map."""
WIDGETS = f"""() => Object.fromEntries({SWEEP}.widgets.map(({{ name, value }}) => [name, value]))"""
CHOOSE = f"""(over) => {{
  const node = {SWEEP}
  const widget = node.widgets.find((widget) => widget.name === 'over')
  widget.value = over
  widget.callback(over, app.canvas, node)
}}"""


def template() -> dict:
    """The shipped template on tiny files, in few steps, as nobody ran it yet."""
    graph = json.loads(path_of("k-lora-balance-sweep").read_text(encoding="utf-8"))
    graph["id"] = str(uuid.uuid4())
    small = {
        "KLoRALoadPair": ["tiny-subject-sd15.safetensors", "tiny-style-sd15.safetensors"],
        "EmptyLatentImage": [64, 64, 1],
        "PrimitiveInt": [3, "fixed"],
        "ImageGrid": [3, 64, 64, 8],
    }
    for node in graph["nodes"]:
        node.get("properties", {}).pop("models", None)
        values = small.get(node["type"], node.get("widgets_values", []))
        node["widgets_values"] = [TINY_FILES.get(v, v) if isinstance(v, str) else v for v in values]
    return graph


def test_a_sheet_of_all_images_and_no_map(window):
    opened = window
    with renewed(opened):
        load(opened, template())
        own = {name for name in opened.evaluate(WIDGETS) if name.startswith("klora_")}
        assert own <= {ADVANCED}
        run(opened)
        opened.wait_for_timeout(1500)
        assert opened.evaluate("document.querySelectorAll('.klora-map').length") == 0
        sheet = opened.evaluate(
            "app.nodeOutputs[app.rootGraph.nodes.find((node) => node.type === 'SaveImage').id].images.length"
        )
        assert sheet == 1
        SHOTS.mkdir(parents=True, exist_ok=True)
        opened.screenshot(path=SHOTS / f"sweep-{opened.renderer}.png")


def test_each_choice_has_a_list_of_its_own(window):
    opened = window
    with renewed(opened):
        load(opened, template())
        assert opened.evaluate(WIDGETS)["over.balances"] == "-0.4, -0.2, 0, 0.2, 0.4"
        for over, key, begins in (
            ("method", "over.methods", "K-LoRA, LoRA Switch"),
            ("strength", "over.strengths", "1, 0.8"),
            ("schedule", "over.schedules", "s, s*"),
            ("balance", "over.balances", "-0.4"),
        ):
            opened.evaluate(CHOOSE, over)
            opened.wait_for_timeout(200)
            assert opened.evaluate(WIDGETS)[key].startswith(begins), over
