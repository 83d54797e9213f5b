"""A run sends its settings, the page asks for the slots: once, and whatever becomes of the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.browser.live_page import (
    CLASSIC,
    SUBJECT_STRENGTH,
    draws,
    fresh,
    go_into_subgraph,
    load,
    look_at_fuse,
    nothing_drawn,
    run,
    settle,
    unpack_subgraph,
)

HINT = "klora.root().querySelector('.klora-hint').textContent"
GONE = "not kept, run again"
SHARE = "klora.root().querySelector('.klora-share').innerText"
SETS = "**/klora/sets/*"
STRENGTH = f"(value) => {{ klora.fuse().widgets[{SUBJECT_STRENGTH}].value = value }}"


pytestmark = CLASSIC


@pytest.fixture(scope="module")
def opened(opened):
    opened.asked = []

    def note(request):
        if "/klora/sets/" in request.url:
            opened.asked.append(request.url)

    opened.on("request", note)
    load(opened, fresh(3))
    run(opened)
    settle(opened)
    yield opened
    opened.remove_listener("request", note)


def newest(server) -> dict[str, Any]:
    """What the Fuse node showed in the last prompt."""
    (entry,) = server.get("/history?max_items=1").values()
    (shown,) = (output["klora"] for output in entry["outputs"].values() if "klora" in output)
    return shown[-1]


def test_a_dial_brings_settings_alone(opened, server):
    first, share = newest(server), opened.evaluate(SHARE)
    opened.evaluate("klora.turn('balance', 0.5)")
    run(opened)
    opened.wait_for_function(f"{HINT} === ''")
    second = newest(server)
    assert opened.evaluate(SHARE) != share
    assert second["schedule"] == {**first["schedule"], "balance": 0.5}
    assert len(json.dumps(second)) < 1024
    assert [url.rsplit("/", 1)[1] for url in opened.asked] == [first["set"]]


@pytest.fixture
def held(opened):
    """Requests for slots, which wait until they are told to go on, unless `opened.lets` them."""
    waiting: list[Any] = []
    opened.lets = False
    opened.route(SETS, lambda route: route.continue_() if opened.lets else waiting.append(route))
    yield waiting
    opened.unroute(SETS)


def test_a_set_that_is_gone_is_said_to_be_and_comes_with_the_next_run(opened, held):
    opened.evaluate(STRENGTH, 1.2)
    run(opened)
    held.pop().fulfill(status=204)
    opened.wait_for_function(f"{HINT} === '{GONE}'")
    # Never the map of the run before.
    nothing_drawn(opened)
    opened.lets = True
    # The server has it all in its cache, and sends the same settings again.
    run(opened)
    settle(opened)
    opened.wait_for_function(f"{HINT} === ''")
    assert not opened.evaluate("klora.root().hasAttribute('data-empty')")


def test_the_last_run_is_shown_though_its_slots_come_first(opened, held):
    opened.evaluate(STRENGTH, 1.3)
    run(opened)
    opened.lets = True
    opened.evaluate(STRENGTH, 1.4)
    before = draws(opened)
    run(opened)
    opened.wait_for_function(f"klora.root().dataset.draws > {before}")
    settle(opened)
    shown, before = opened.evaluate(SHARE), draws(opened)
    (first,) = held
    first.continue_()
    opened.wait_for_timeout(500)
    assert (opened.evaluate(SHARE), draws(opened)) == (shown, before)


def test_a_node_may_go_while_its_slots_are_on_their_way(opened, held):
    opened.evaluate(STRENGTH, 1.6)
    run(opened)
    go_into_subgraph(opened)
    look_at_fuse(opened)
    settle(opened)
    before = draws(opened)
    (first,) = held
    first.continue_()
    # On the node in the subgraph, which nothing was sent to.
    opened.wait_for_function(f"klora.root()?.dataset.draws > {before}")
    unpack_subgraph(opened)
    opened.evaluate(STRENGTH, 1.7)
    run(opened)
    opened.evaluate("app.rootGraph.remove(klora.fuse())")
    held[-1].continue_()
    opened.wait_for_function("!document.querySelector('.klora-map')")
    opened.wait_for_timeout(300)
    assert len(held) == 2
