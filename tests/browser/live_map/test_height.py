"""The room that the live map takes on K-LoRA Fuse, and whether map and room come back: workflows saved and
loaded, pages opened anew.
"""

from __future__ import annotations

import copy
import uuid

import pytest

from tests.support.browser.live_page import (
    FUSE,
    STEPS,
    frames,
    fresh,
    load,
    nothing_drawn,
    run,
    settle,
    shot,
    visit,
)

STATUS = "klora.root().querySelector('.klora-status').innerText"


def test_folding_is_remembered_by_the_workflow(ran):
    before = ran.evaluate("klora.fuse().size[1]")
    ran.click(".klora-map button")
    frames(ran)
    folded = ran.evaluate("klora.fuse().size[1]")
    assert before - folded > 250
    assert ran.evaluate("klora.root().offsetHeight") < 40
    shot(ran, "folded")
    saved = ran.evaluate("klora.saved()")
    load(ran, saved)
    ran.wait_for_function("klora.root()?.querySelector('button').ariaExpanded === 'false'")
    assert ran.evaluate("klora.fuse().size[1]") == pytest.approx(folded, abs=2)
    ran.click(".klora-map button")
    frames(ran)
    assert ran.evaluate("klora.fuse().size[1]") == pytest.approx(before, abs=2)
    saved = ran.evaluate("klora.saved()")
    load(ran, saved)
    ran.wait_for_function("klora.root()?.querySelector('button').ariaExpanded === 'true'")
    assert ran.evaluate("klora.fuse().size[1]") == pytest.approx(before, abs=2)


def test_map_survives_a_page_reload(ran, server):
    """Also in another browser: where requests are routed, this one's own cache answers none."""
    saved, asked = ran.evaluate("klora.saved()"), []
    ran.route("**/klora/sets/*", lambda route: asked.append(route.request.url) or route.continue_())
    visit(ran, server)
    load(ran, saved)
    ran.wait_for_function("klora.root()?.dataset.draws > 0")
    assert f"{len(ran.slots)} slots" in ran.evaluate(STATUS)
    assert len(asked) == 1
    ran.unroute("**/klora/sets/*")


def test_the_node_keeps_its_height_where_nothing_ran(ran):
    saved = ran.evaluate("klora.saved()")
    stranger = copy.deepcopy(saved)
    stranger["id"] = str(uuid.uuid4())
    high = next(node for node in saved["nodes"] if node["id"] == FUSE)["size"][1]
    load(ran, stranger)
    nothing_drawn(ran)
    assert ran.evaluate("klora.fuse().size[1]") == pytest.approx(high, abs=2)


def test_rerun_from_the_cache_shows_the_map_in_a_new_page(chromium, server, opened):
    if not server.object_info()["KLoRAFuse"].get("has_intermediate_output"):
        pytest.skip("KLoRAFuse does not ask the server to send its cached output again")
    graph = fresh(STEPS)
    load(opened, graph)
    run(opened)
    visit(opened, server)
    # The page brings back what was open, in its own time: only then is another workflow the last to load.
    opened.wait_for_function("app.rootGraph.nodes.length > 5")
    settle(opened)
    # Another workflow to the page, the same inputs to the server.
    graph["id"] = str(uuid.uuid4())
    graph["nodes"] = [
        {**node, "widgets_values": [1, *node["widgets_values"][1:]]} if node["type"] == "KSampler" else node
        for node in graph["nodes"]
    ]
    load(opened, graph)
    nothing_drawn(opened)
    run(opened)
    opened.wait_for_function("klora.root()?.dataset.draws > 0")
