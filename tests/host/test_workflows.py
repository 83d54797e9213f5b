"""Every shipped workflow is executed by the real server on a tiny model of its family."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tools.api_format import to_api
from tools.host import REPO
from tools.server import serving
from tools.tiny.prompts import shrink
from tools.workflows import families

TEST_NODE = Path(__file__).parent / "nodes_for_tests" / "tiny_flux_text.py"
STEPS, SIDE = 4, 64


@pytest.fixture(scope="module")
def server():
    with serving("sd15", "sdxl", "flux", extra_nodes=[TEST_NODE]) as running:
        yield running


def tiny(prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt on tiny models, with the one node that no tiny file can stand in for replaced."""
    for node in shrink(prompt, STEPS, SIDE).values():
        if node["class_type"] == "DualCLIPLoader":
            node["class_type"] = "KLoRATestTinyFluxText"
    return prompt


@pytest.mark.parametrize("name", families.FAMILIES)
def test_shipped_workflow_runs(server, name):
    workflow = json.loads((REPO / "workflows" / f"{name}.json").read_text())
    prompt = tiny(to_api(workflow, server.object_info()))
    node_of = {node["class_type"]: key for key, node in prompt.items()}
    run = server.run(prompt)
    assert run.error is None, run.error
    image = Image.open(io.BytesIO(server.image(run.images(node_of["SaveImage"])[0])))
    assert image.size == (SIDE, SIDE)
    assert len(image.convert("RGB").getcolors(SIDE * SIDE)) > 100
    assert run.images(node_of["PreviewImage"])
    (report,) = run.texts(node_of["PreviewAny"])
    pair = prompt[node_of["KLoRALoadPair"]]["inputs"]
    assert pair["subject_lora"] in report
    assert pair["style_lora"] in report


@pytest.mark.parametrize(("name", "family"), families.FAMILIES.items())
def test_workflow_file_is_what_the_tool_writes(name, family):
    saved = json.loads((REPO / "workflows" / f"{name}.json").read_text())
    assert saved == json.loads(json.dumps(families.build(family)))
