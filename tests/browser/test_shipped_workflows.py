"""Each shipped workflow, loaded into the real editor as a user gets it."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import pytest

from tests.browser.test_templates import OPEN, WINDOWS, check_readable
from tests.support.browser.live_page import SHOTS, fresh, load, renewed, run
from tools.host.api_format import to_api
from tools.workflows.shipped import IN_API_FORMAT, SHIPPED, api_path_of, path_of

WORKFLOWS = tuple(SHIPPED)
TITLE_BAR = 30
NODES = """app.rootGraph.nodes.map((node) => ({
  id: node.id,
  type: node.type,
  known: node.type in LiteGraph.registered_node_types,
  collapsed: node.flags.collapsed ?? false,
  box: node.flags.collapsed
    ? [...node.pos, node.boundingRect[2], 0]
    : [...node.pos, ...node.size],
  least: [...node.computeSize()],
  widgets: (node.widgets ?? []).map(({ name, value, options, serialize }) =>
    ({ name, value, choices: options?.values?.length ? options.values : null })),
}))"""
SHOWN = "app.rootGraph.nodes.filter((node) => node.imgs?.length).map((node) => node.type)"
GROUPS = "app.rootGraph.groups.map((group) => [...group.pos, ...group.size])"
FIT = """() => {
  const boxes = app.rootGraph.groups.map((group) => [...group.pos, ...group.size])
  const left = Math.min(...boxes.map((box) => box[0])), top = Math.min(...boxes.map((box) => box[1]))
  const width = Math.max(...boxes.map((box) => box[0] + box[2])) - left
  const height = Math.max(...boxes.map((box) => box[1] + box[3])) - top
  const { ds, canvas } = app.canvas
  ds.scale = Math.min((canvas.clientWidth - 160) / width, (canvas.clientHeight - 160) / height)
  ds.offset = [
    -left + (canvas.clientWidth / ds.scale - width) / 2,
    -top + (canvas.clientHeight / ds.scale - height) / 2,
  ]
  app.canvas.setDirty(true, true)
}"""


WINDOW = (1500, 920)


@pytest.fixture(scope="module")
def opened(window):
    with renewed(window, *WINDOW):
        yield window


def shipped(name: str) -> dict[str, Any]:
    return json.loads(path_of(name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=WORKFLOWS)
def name(request, opened):
    """A shipped workflow that is open on the page, for all tests that only look at it."""
    opened.look = opened.evaluate(OPEN, [shipped(request.param), request.param])
    return request.param


def shot(opened: Any, name: str) -> None:
    """A picture to look at, where KLORA_SHOTS asks for them: all of them take a minute."""
    if not os.environ.get("KLORA_SHOTS"):
        return
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.evaluate(FIT)
    opened.wait_for_timeout(600)
    opened.screenshot(path=SHOTS / f"{name}-{opened.renderer}.png")


def outer(box: list[float]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a node with its title bar."""
    x, y, width, height = box
    return x, y - TITLE_BAR, x + width, y + height


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_opens_readable(opened, name):
    if opened.renderer == "classic":
        check_readable(opened, opened.look, name, WINDOW)
    else:
        assert opened.look["zoom"] >= WINDOWS[WINDOW]


def test_loads_complete(opened, info, name):
    workflow = shipped(name)
    nodes = opened.evaluate(NODES)
    assert [node["type"] for node in nodes if not node["known"]] == []
    assert len(nodes) == len(workflow["nodes"])
    prompt = opened.evaluate("app.graphToPrompt().then(({ output }) => output)")
    assert {key: node["inputs"] for key, node in prompt.items()} == {
        key: node["inputs"] for key, node in to_api(workflow, info).items()
    }
    if name in IN_API_FORMAT:
        assert prompt == json.loads(api_path_of(name).read_text(encoding="utf-8"))
    shot(opened, name)


def test_every_choice_but_the_users_files_exists(opened, name):
    for node in opened.evaluate(NODES):
        for widget in node["widgets"]:
            theirs = str(widget["value"]).startswith("your ") and "lora" in widget["name"]
            if widget["choices"] and not theirs and not str(widget["value"]).endswith(".safetensors"):
                assert widget["value"] in widget["choices"], (node["type"], widget)


def test_nothing_overlaps_and_everything_fits(opened, name):
    for node in check_layout(opened):
        if node["collapsed"]:
            continue
        assert node["box"][2] + 1 >= node["least"][0], node["type"]
        assert node["box"][3] + 1 >= node["least"][1], node["type"]


def check_layout(opened: Any) -> list[dict[str, Any]]:
    """Every node lies inside one group and touches no other node; returns the nodes."""
    nodes = opened.evaluate(NODES)
    boxes = {f"{node['id']} {node['type']}": outer(node["box"]) for node in nodes}
    for (a, box_a), (b, box_b) in itertools.combinations(boxes.items(), 2):
        assert not overlap(box_a, box_b), (a, b)
    groups = [_corners(box) for box in opened.evaluate(GROUPS)]
    for key, box in boxes.items():
        (left, top, right, bottom), *others = [group for group in groups if overlap(box, group)]
        assert not others, key
        assert box[0] >= left and box[1] >= top and box[2] <= right and box[3] <= bottom, key
    return nodes


def _corners(bounding: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = bounding
    return x, y, x + width, y + height


def test_runs_from_the_page(opened):
    load(opened, fresh(8))
    run(opened)
    opened.wait_for_timeout(1500)
    if opened.renderer == "classic":
        shown = opened.evaluate(SHOWN)
        assert "SaveImage" in shown
        check_layout(opened)
    shot(opened, "ran")
