"""A map from the server's history: only where every file is known to be the one that ran."""

from __future__ import annotations

import pytest

from tests.support.browser.live_page import (
    CLASSIC,
    STEPS,
    fresh,
    load,
    nothing_drawn,
    run,
    settle,
)

pytestmark = CLASSIC

# What a page that was just opened knows of earlier runs: nothing.
FORGET = "app.nodeOutputs = {}"


@pytest.fixture(scope="module")
def ran(opened):
    opened.graph = fresh(STEPS)
    load(opened, opened.graph)
    run(opened)
    settle(opened)
    return opened


def opened_with(page, file):
    """The same workflow loaded anew, its style file as given."""
    page.evaluate(FORGET)
    graph = page.evaluate("structuredClone(app.rootGraph.serialize())")
    for node in graph["nodes"]:
        if node["type"] == "KLoRALoadPair":
            node["widgets_values"][1] = file
            node.pop("widgets_values_named", None)
    page.evaluate("app.loadGraphData({ nodes: [], links: [], version: 0.4 })")
    # No node of before may be taken for what became of it.
    page.wait_for_timeout(2500)
    page.evaluate(FORGET)
    load(page, graph)


def test_a_workflow_opened_again_shows_its_last_run(ran):
    opened_with(ran, "tiny-style-sd15.safetensors")
    settle(ran)
    assert not ran.evaluate("klora.root().hasAttribute('data-empty')")


@pytest.mark.parametrize("file", ["your style LoRA", "your_style_lora.safetensors", ""])
def test_one_with_another_file_or_none_shows_no_map(ran, file):
    opened_with(ran, file)
    nothing_drawn(ran)


def test_a_page_opened_during_a_run_gets_its_map_at_the_end(ran):
    opened_with(ran, "your style LoRA")
    nothing_drawn(ran)
    ran.evaluate(
        """() => {
          const pair = app.rootGraph.nodes.find((node) => node.type === 'KLoRALoadPair')
          pair.widgets[1].value = 'tiny-style-sd15.safetensors'
        }"""
    )
    ran.evaluate(
        """async () => {
          const { api } = await import('/scripts/api.js')
          api.dispatchEvent(new CustomEvent('execution_success', { detail: { prompt_id: 'none' } }))
        }"""
    )
    settle(ran)
    assert not ran.evaluate("klora.root().hasAttribute('data-empty')")
