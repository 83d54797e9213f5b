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
)
from tests.support.browser.undo import reload

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


def test_the_node_keeps_its_height_where_nothing_ran(ran):
    saved = ran.evaluate("klora.saved()")
    stranger = copy.deepcopy(saved)
    stranger["id"] = str(uuid.uuid4())
    high = next(node for node in saved["nodes"] if node["id"] == FUSE)["size"][1]
    load(ran, stranger)
    nothing_drawn(ran)
    assert ran.evaluate("klora.fuse().size[1]") == pytest.approx(high, abs=2)


def test_the_map_survives_a_page_reload_and_comes_with_a_rerun_from_the_cache(ran, server, info):
    """As in another browser, too: where requests are routed, this one's own cache answers none."""
    graph = fresh(STEPS)
    load(ran, graph)
    run(ran)
    load(ran, ran.graph)
    settle(ran)
    saved, asked = ran.evaluate("klora.saved()"), []
    ran.route("**/klora/sets/*", lambda route: asked.append(route.request.url) or route.continue_())
    reload(ran, server)
    settle(ran)
    load(ran, saved)
    ran.wait_for_function("klora.root()?.dataset.draws > 0")
    assert f"{len(ran.slots)} slots" in ran.evaluate(STATUS)
    assert len(asked) == 1
    ran.unroute("**/klora/sets/*")

    if not info["KLoRAFuse"].get("has_intermediate_output"):
        pytest.skip("KLoRAFuse does not ask the server to send its cached output again")
    # What ran before the reload: another workflow to the page, the same inputs to the server.
    graph["id"] = str(uuid.uuid4())
    graph["nodes"] = [
        {**node, "widgets_values": [1, *node["widgets_values"][1:]]} if node["type"] == "KSampler" else node
        for node in graph["nodes"]
    ]
    load(ran, graph)
    nothing_drawn(ran)
    run(ran)
    ran.wait_for_function("klora.root()?.dataset.draws > 0")
