"""Every shipped workflow is executed by the real server on a tiny model of its family."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tools.api_format import to_api, widget_values
from tools.host import REPO
from tools.server import Run, Server, serving
from tools.tiny import loras
from tools.tiny.prompts import shrink
from tools.workflows.host_nodes import HostNodes
from tools.workflows.shipped import SHIPPED

NODES = Path(__file__).parent / "nodes_for_tests"
TEST_NODES = [NODES / "tiny_flux_text.py", NODES / "tiny_z_image.py"]
STAND_INS = {
    "DualCLIPLoader": "KLoRATestTinyFluxText",
    "CLIPLoader": "KLoRATestTinyZImageText",
}
SHEETS = {"k-lora-compare": 5, "k-lora-balance-sweep": 5, "k-lora-methods": 8}
FILES = ("lora_name", "subject_lora", "style_lora")
STEPS, SIDE, SPACING = 4, 64, 8


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    extra = tmp_path_factory.mktemp("loras")
    loras.write_lightning(extra)
    with serving("sd15", "sdxl", "flux", "zimage", extra_nodes=TEST_NODES, loras=extra) as running:
        yield running


def tiny(prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt on tiny models, with the nodes that no tiny file can stand in for replaced."""
    for node in shrink(prompt, STEPS, SIDE).values():
        node["class_type"] = STAND_INS.get(node["class_type"], node["class_type"])
        if str(node["inputs"].get("unet_name")) == "tiny-zimage.safetensors":
            node["class_type"] = "KLoRATestTinyZImage"
        if node["class_type"] == "ImageScaleToTotalPixels":
            node["inputs"]["megapixels"] = 0.01  # the least it takes
    return prompt


def execute(server: Server, name: str) -> tuple[dict[str, Any], dict[str, str], Run]:
    """Run a shipped workflow; the prompt, a node's key by its kind, and the run."""
    workflow = json.loads((REPO / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    prompt = tiny(to_api(workflow, server.object_info()))
    run = server.run(prompt)
    assert run.error is None, run.error
    return prompt, {node["class_type"]: key for key, node in prompt.items()}, run


def picture(server: Server, run: Run, node: str) -> Image.Image:
    (shown,) = run.images(node)
    return Image.open(io.BytesIO(server.image(shown))).convert("RGB")


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in SHEETS])
def test_shipped_workflow_runs(server, name):
    prompt, node_of, run = execute(server, name)
    image = picture(server, run, node_of["SaveImage"])
    side = 104 if "LoadImage" in node_of else SIDE
    assert image.size == (side, side)
    assert len(image.getcolors(side * side)) > 100
    assert run.images(node_of["PreviewImage"])
    (report,) = run.texts(
        next(key for key, node in prompt.items() if node["inputs"].get("source", [0, 0])[1] == 3)
    )
    texts = "\n".join(text for key in prompt for text in run.texts(key))
    # A distillation LoRA of core's own loader is none of ours to report.
    ours = [node["inputs"] for node in prompt.values() if node["class_type"].startswith("KLoRA")]
    loaded = [value for inputs in ours for key, value in inputs.items() if key in FILES]
    assert len(loaded) > 1 and all(file in texts for file in loaded)
    assert "K-LoRA: in every layer" in report


@pytest.mark.parametrize(("name", "count"), SHEETS.items())
def test_sheet_joins_images_that_differ(server, name, count):
    _, node_of, run = execute(server, name)
    sheet = picture(server, run, node_of["SaveImage"])
    assert sheet.size == (count * SIDE + (count - 1) * SPACING, SIDE)
    # Below the labels, which differ anyway.
    cells = [np.asarray(sheet.crop((x, 16, x + SIDE, SIDE)), np.float32) for x in range(0, sheet.width, 72)]
    for i, cell in enumerate(cells):
        for other in cells[:i]:
            assert np.abs(cell - other).mean() > 1


@pytest.mark.parametrize("name", SHIPPED)
def test_workflow_file_is_what_the_tool_writes(server, name):
    saved = json.loads((REPO / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    assert saved == json.loads(json.dumps(SHIPPED[name](HostNodes(server.object_info()))))


@pytest.mark.parametrize("progress", ["steps", "noise level"])
def test_a_node_saved_by_version_0_1_0_means_the_same(server, progress):
    values = [1.0, 0.8, -0.25, "s*", 1.4, 1.2, "reference", "attention", "drop", progress]
    node = {"id": 4, "type": "KLoRAFuse", "widgets_values": values}
    found = widget_values(node, server.object_info()["KLoRAFuse"])
    assert found == {
        "subject_strength": 1.0,
        "style_strength": 0.8,
        "balance": -0.25,
        "schedule": "s*",
        "schedule.alpha": 1.4,
        "schedule.beta": 1.2,
        "gamma": "reference",
        "layers": "attention",
        "other_layers": "drop",
        "progress": progress,
    }


def test_shipped_workflows_leave_progress_to_the_node():
    for name in SHIPPED:
        workflow = json.loads((REPO / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
        fuses = [node for node in workflow["nodes"] if node["type"] == "KLoRAFuse"]
        assert all("auto" in node["widgets_values"] for node in fuses)
