"""App mode: the templates of one image bring what it asks for, and the map is alive in it."""

from __future__ import annotations

import contextlib
import json

import pytest

from tests.support.browser.live_page import fresh, load, renewed, settle, shot
from tools.workflows.shipped import path_of

ASKED = ["subject_lora", "style_lora", "text", "balance", "seed"]
APPS = ("k-lora-sd15", "k-lora-sdxl", "k-lora-flux", "k-lora-z-image")
SWITCH = "app.extensionManager.command.execute('Comfy.ToggleLinear')"
SEEN_MAP = "document.querySelector('.klora-map')?.checkVisibility() && klora.root().offsetHeight > 100"
SHARE = "klora.root().querySelector('.klora-share').innerText"


@pytest.fixture
def opened(window):
    """Each workflow has a mode of its own: an empty page for each test."""
    with renewed(window):
        yield window


def seen(opened, text):
    return opened.get_by_text(text, exact=True).locator("visible=true").first


@contextlib.contextmanager
def in_app_mode(opened):
    opened.evaluate(SWITCH)
    # In Nodes 2.0 the graph has the same words, out of sight.
    seen(opened, "balance").wait_for()
    # The page greets who is there for the first time.
    with contextlib.suppress(Exception):
        opened.get_by_text("Skip", exact=True).click(timeout=2000)
    yield
    opened.evaluate(SWITCH)
    opened.wait_for_timeout(500)


@pytest.mark.parametrize("name", APPS)
def test_it_names_the_widgets_of_one_image(name):
    workflow = json.loads(path_of(name).read_text(encoding="utf-8"))
    kinds = {node["id"]: node["type"] for node in workflow["nodes"]}
    data = workflow["extra"]["linearData"]
    assert [widget for _, widget in data["inputs"]] == [*ASKED, "klora_map"]
    assert [kinds[node] for node, _ in data["inputs"]] == [
        *["KLoRALoadPair"] * 2,
        "CLIPTextEncode",
        "KLoRAFuse",
        "KSampler",
        "KLoRAFuse",
    ]
    assert [kinds[node] for node in data["outputs"]] == ["SaveImage"]
    assert "linearMode" not in workflow["extra"], "it opens as a graph"


@pytest.mark.parametrize("name", APPS[1:])
def test_every_one_shows_them(opened, name):
    load(opened, json.loads(path_of(name).read_text(encoding="utf-8")))
    with in_app_mode(opened):
        for label in ASKED:
            seen(opened, label).wait_for()
        opened.wait_for_function(SEEN_MAP)


def test_a_run_gives_picture_and_map_which_follows_the_dial(opened):
    graph = fresh(4)
    load(opened, graph)
    with in_app_mode(opened):
        opened.get_by_role("button", name="Run", exact=True).last.click()
        settle(opened)
        # In Nodes 2.0 the graph has it, too.
        opened.locator("img[src*='k-lora'] >> visible=true").first.wait_for()
        share = opened.evaluate(SHARE)
        opened.evaluate("klora.turn('balance', 0.6)")
        opened.wait_for_function(f"{SHARE} !== '{share}'")
        assert opened.evaluate("document.querySelectorAll('.klora-map').length") == 1
        assert opened.evaluate(SEEN_MAP)
        shot(opened, "app-mode")
        turned = opened.evaluate(SHARE)
    settle(opened)
    assert opened.evaluate(SHARE) == turned
