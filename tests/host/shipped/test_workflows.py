"""Every shipped workflow is executed by the real server on a tiny model of its family."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from tests.support.host.shipped_runs import SIDE, execute, painted, picture, said
from tools.host.api_format import to_api
from tools.workflows.editor.host_nodes import HostNodes
from tools.workflows.shipped import IN_API_FORMAT, SHIPPED, api_path_of, path_of

SHEETS = {"k-lora-compare": (3, 2), "k-lora-balance-sweep": (3, 2), "k-lora-methods": (4, 4)}
"""How many images are in the upper and in the lower row."""
OWN = ("wan", "train", "by-prompt", "pick")
"""Those of what has tests of its own."""
FILES = ("lora_name", "subject_lora", "style_lora")
SPACING = 8


@pytest.mark.parametrize("name", [n for n in SHIPPED if not (n in SHEETS or any(part in n for part in OWN))])
def test_shipped_workflow_runs(served, name):
    prompt, node_of, run = execute(served, name)
    side = 104 if "LoadImage" in node_of else SIDE
    assert painted(served, run, node_of["SaveImage"]).size == (side, side)
    assert run.images(node_of["PreviewImage"])
    (report,) = run.texts(
        next(key for key, node in prompt.items() if node["inputs"].get("source", [0, 0])[1] == 3)
    )
    texts = said(prompt, run)
    # A distillation LoRA of core's own loader is none of ours to report.
    ours = [node["inputs"] for node in prompt.values() if node["class_type"].startswith("KLoRA")]
    loaded = [value for inputs in ours for key, value in inputs.items() if key in FILES]
    assert len(loaded) > 1 and all(file in texts for file in loaded)
    by_hand = "As scheduled: each LoRA works when" in report
    assert ("K-LoRA: in every layer" in report) is not by_hand and by_hand == (name == "k-lora-by-hand")


def test_the_prompt_finds_a_subject_and_a_style(served):
    prompt, node_of, run = execute(served, "k-lora-by-prompt")
    assert painted(served, run, node_of["SaveImage"]).size == (SIDE, SIDE)
    texts = said(prompt, run)
    assert "K-LoRA: in every layer" in texts
    for role in ("subject", "style"):
        assert re.search(rf"{role}, strength 1: \S+\.safetensors", texts), texts


@pytest.mark.parametrize(("name", "rows"), SHEETS.items())
def test_sheet_joins_images_that_differ(served, name, rows):
    _, node_of, run = execute(served, name)
    sheet = picture(served, run, node_of["SaveImage"])
    pitch = SIDE + SPACING
    assert sheet.size == (rows[0] * pitch - SPACING, 2 * pitch - SPACING)
    cells = []
    for row, count in enumerate(rows):
        top = row * pitch
        for x in range(0, count * pitch, pitch):
            # Below the labels, which differ anyway.
            cells.append(np.asarray(sheet.crop((x, top + 16, x + SIDE, top + SIDE)), np.float32))
    for i, cell in enumerate(cells):
        for other in cells[:i]:
            assert np.abs(cell - other).mean() > 1


def test_the_sweep_compares_the_loras_once_for_all_images(served):
    prompt, node_of, run = execute(served, "k-lora-balance-sweep")
    assert len(prompt) < 15
    (report,) = run.texts(node_of["PreviewAny"])
    assert [line for line in report.splitlines() if line.startswith("balance ")] == [
        f"balance {value}" for value in ("-0.4", "-0.2", "0", "0.2", "0.4")
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_workflow_file_is_what_the_tool_writes(served, name):
    saved = json.loads(path_of(name).read_text(encoding="utf-8"))
    assert (name in IN_API_FORMAT) == api_path_of(name).is_file()
    if name in IN_API_FORMAT:
        queued = json.loads(api_path_of(name).read_text(encoding="utf-8"))
        assert queued == to_api(saved, served.object_info())
    assert saved == json.loads(json.dumps(SHIPPED[name].build(HostNodes(served.object_info()))))


def test_shipped_workflows_leave_progress_to_the_node():
    for name in SHIPPED:
        workflow = json.loads(path_of(name).read_text(encoding="utf-8"))
        fuses = [node for node in workflow["nodes"] if node["type"] == "KLoRAFuse"]
        assert all("auto" in node["widgets_values"] for node in fuses)
