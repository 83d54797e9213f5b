"""Undo and redo as a person does them, and what the page's history of a workflow takes for a change."""

from __future__ import annotations

from typing import Any

from tools.host.server import Server

from .live_page import frames, visit

TRACKER = "app.extensionManager.workflow.activeWorkflow.changeTracker"
"""The page's history of a workflow: what undo takes back."""
CHANGED = f"{TRACKER}.captureCanvasState()"
"""Lets it look for a change, as it does whenever a person lets go of the mouse."""


def reload(opened: Any, server: Server) -> None:
    """Reload the page with what is open: it keeps a workflow that a person changed, a moment after that."""
    opened.evaluate(f"() => {{ app.rootGraph.nodes[0].pos[0] += 10; {CHANGED} }}")
    opened.wait_for_timeout(1500)
    visit(opened, server)
    opened.wait_for_function("app.rootGraph.nodes.length > 5")


def press_keys(opened, keys):
    """Keys together, each held until the page has seen it, as a person's are.

    The page looks at keys in its next frame. Where Control is known there and the other key is up already, it
    takes that for Control alone, and looks for an edit first, which ends what can be redone.
    """
    for key in (held := keys.split("+")):
        opened.keyboard.down(key)
        frames(opened, 2)
    for key in reversed(held):
        opened.keyboard.up(key)


def step_by_keys(opened, keys, node):
    """Undo or redo as a person does it, until the page has made the graph anew and its ``node`` with it."""
    opened.evaluate(f"(window.before = [{node}, {TRACKER}.activeState], null)")
    press_keys(opened, keys)
    opened.wait_for_function(f"{node} && {node} !== before[0] && {TRACKER}.activeState !== before[1]")


def step_back(opened, keys="Control+z"):
    """Undo or redo of what was done to the Fuse node's graph, and the moment that its map needs."""
    opened.locator("canvas#graph-canvas").focus()
    step_by_keys(opened, keys, "klora.fuse()")
    opened.wait_for_timeout(400)
    frames(opened)
