"""Undo makes nodes anew: what the page shows afterwards belongs to the nodes that are there."""

from __future__ import annotations

import json

import pytest

from tests.support.browser.live_page import STEPS_NODE, frames, shot
from tests.support.browser.undo import CHANGED, TRACKER, step_back

SHARE = "klora.root().querySelector('.klora-share').innerText"
HINT = "klora.root().querySelector('.klora-hint').textContent"
DONE = f"{TRACKER}.undoQueue.length"


def change(page, act):
    """A person's change, taken at once: to the page, what comes within 50 ms of another is part of that."""
    before = page.evaluate(DONE)
    page.evaluate(f"() => {{ {act}; {CHANGED} }}")
    assert page.evaluate(DONE) == before + 1
    frames(page)


def shows(page, share):
    """Its map does, in a moment: undo makes nodes anew, and a busy page draws theirs later."""
    there = SHARE.replace(").", ")?.")
    page.wait_for_function(f"{there} === {json.dumps(share)}", timeout=10_000)


@pytest.fixture
def moved(ran):
    """The page with balance turned once and the turn taken back."""
    ran.evaluate(CHANGED)
    share = ran.evaluate(SHARE)
    change(ran, "klora.turn('balance', 0.5)")
    assert ran.evaluate(SHARE) != share
    step_back(ran)
    assert ran.evaluate("klora.widget('balance').value") == 0
    shows(ran, share)
    return ran, share


def test_the_map_follows_the_dial_after_undo_and_redo(moved):
    page, share = moved
    assert page.evaluate("document.querySelectorAll('.klora-map').length") == 1
    change(page, "klora.turn('balance', 0.3)")
    turned = page.evaluate(SHARE)
    assert turned != share
    assert page.evaluate(HINT) == "not yet run"
    step_back(page)
    shows(page, share)
    step_back(page, "Control+y")
    assert page.evaluate("klora.widget('balance').value") == 0.3
    shows(page, turned)
    shot(page, "after-redo")


def test_undo_of_another_nodes_move_leaves_the_map_alive(ran):
    ran.evaluate(CHANGED)
    share = ran.evaluate(SHARE)
    change(ran, f"app.rootGraph.getNodeById({STEPS_NODE}).pos[0] += 40")
    step_back(ran)
    shows(ran, share)
    change(ran, "klora.turn('balance', 0.4)")
    assert ran.evaluate(SHARE) != share


def test_the_auto_button_turns_the_dial_that_is_there(moved):
    page, _ = moved
    button = page.locator(".klora-even")
    button.click()
    frames(page)
    assert page.evaluate("klora.widget('balance').value") != 0
    assert page.evaluate(HINT) == "not yet run"


def test_a_removed_node_leaves_nothing_to_read(ran):
    ran.evaluate("window.old = klora.root(); app.rootGraph.remove(klora.fuse())")
    frames(ran)
    assert ran.evaluate("old.textContent") == ""
