"""Painting on the map of LoRAs by hand, by mouse and keys: the rows of LoRA Set are the truth."""

from __future__ import annotations

import json
import random
import uuid

import pytest

from tests.support.browser.live_page import (
    frames,
    load,
    look_at_fuse,
    nothing_drawn,
    run,
    settle,
    shot,
)
from tests.support.browser.undo import CHANGED, step_back
from tools.workflows.shipped import path_of

STEPS = 6
SUBJECT_SET, STYLE_SET = 6, 7
HINT = "klora.root().querySelector('.klora-hint').textContent"
LINES = "['where', 'when'].map((line) => klora.root().querySelector(`.klora-${line}`).textContent)"
ROW = """(id) => Object.fromEntries(app.rootGraph.getNodeById(id).widgets
  .filter(({ name }) => ['start', 'end', 'blocks'].includes(name)).map(({ name, value }) => [name, value]))"""
PLAIN = {"start": 0, "end": 1, "blocks": ""}


def by_hand():
    """The shipped workflow of two LoRAs on the tiny model, each everywhere and always."""
    graph = json.loads(path_of("k-lora-by-hand").read_text())
    graph["id"] = str(uuid.uuid4())
    third = {5, 8}
    graph["nodes"] = [node for node in graph["nodes"] if node["id"] not in third]
    for link in graph["links"]:
        if link[1] == 8:
            link[1] = STYLE_SET
    graph["links"] = [link for link in graph["links"] if not third & {link[1], link[3]}]
    of = {node["id"]: node for node in graph["nodes"]}
    of[2]["widgets_values"] = ["tiny-sd15.safetensors"]
    for loader, role in ((3, "subject"), (4, "style")):
        of[loader]["widgets_values"] = [f"tiny-{role}-sd15.safetensors"]
    for row in (SUBJECT_SET, STYLE_SET):
        of[row]["widgets_values"][3:] = [0.0, 1.0, "", ""]
    (link,) = (link for link in graph["links"] if link[3] == 9 and link[5] == "LORA_SET")
    of[STYLE_SET]["outputs"][0]["links"] = [link[0]]
    of[10]["widgets_values"] = [64, 64, 1]
    of[13]["widgets_values"] = [STEPS, "fixed"]
    of[14]["widgets_values"][0] = random.randrange(2**32)
    for node in graph["nodes"]:
        node.get("properties", {}).pop("models", None)
    return graph


@pytest.fixture(scope="module")
def graph(opened):
    """The workflow, which has run in the page."""
    graph = by_hand()
    load(opened, graph)
    nothing_drawn(opened)
    run(opened)
    opened.evaluate("klora.plan().then(({ slots }) => { klora.slots = slots })")
    return graph


@pytest.fixture
def map_(opened, graph):
    """The page with the map of the run, rows as they ran, and nothing painted."""
    load(opened, graph)
    settle(opened)
    look_at_fuse(opened)
    settle(opened)
    # The map of the same LoRAs goes on with the one that was painted before.
    for chosen in opened.locator(".klora-brushes button[aria-pressed='true']").all():
        chosen.click()
        frames(opened)
    opened.evaluate(CHANGED)
    opened.groups = opened.evaluate("klora.slots.map(({ group }) => group)")
    return opened


def row(page, node=STYLE_SET):
    return page.evaluate(ROW, node)


def choose(page, name):
    page.locator(".klora-brushes button", has_text=f"paint {name}").click()
    frames(page)


def drag(page, start, end):
    """From one (slot, column) to another, a slot of None is the axis."""
    points = [
        page.evaluate(f"([s, c]) => klora.point(klora.slots, {STEPS}, s, c)", at) for at in (start, end)
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*[(a + b) / 2 for a, b in zip(*points, strict=True)])
    frames(page)
    page.mouse.move(*points[1])
    frames(page)
    page.mouse.up()
    frames(page)


def up(page):
    """The first and the last row of the stage."""
    found = [i for i, group in enumerate(page.groups) if group == "up"]
    return found[0], found[-1]


def test_a_stroke_over_rows_is_the_blocks_of_the_row(map_):
    at = map_.evaluate("[...klora.fuse().pos]")
    choose(map_, "style")
    first, last = up(map_)
    drag(map_, (first, 1), (last, 1))
    assert row(map_) == {**PLAIN, "blocks": "up: 0"} and row(map_, SUBJECT_SET) == PLAIN
    assert map_.evaluate(HINT) == "not yet run"
    assert map_.evaluate(LINES)[0] == "style: blocks up: 0, 0 to 1 of the run"
    map_.locator(".klora-strength").fill("0.5")
    drag(map_, (0, 0), (0, 0))
    drag(map_, (None, 1), (None, 3))
    assert row(map_) == {"start": 0.17, "end": 0.67, "blocks": "down 1: 0.5, up: 0"}
    assert map_.evaluate("[...klora.fuse().pos]") == at, "the node stays where it is"
    shot(map_, "painting")
    choose(map_, "style")
    shot(map_, "painted")


def test_a_stroke_is_one_step_of_undo(map_):
    choose(map_, "style")
    first, last = up(map_)
    drag(map_, (first, 1), (last, 1))
    drag(map_, (None, 2), (None, 4))
    painted = {"start": 0.33, "end": 0.83, "blocks": "up: 0"}
    assert row(map_) == painted
    map_.wait_for_timeout(300)
    step_back(map_)
    assert row(map_) == {**PLAIN, "blocks": "up: 0"}
    assert map_.evaluate(HINT) == "not yet run"
    step_back(map_)
    assert row(map_) == PLAIN and map_.evaluate(HINT) == ""
    step_back(map_, "Control+y")
    assert row(map_) == {**PLAIN, "blocks": "up: 0"} and map_.evaluate(HINT) == "not yet run"
    step_back(map_, "Control+y")
    assert row(map_) == painted and map_.evaluate(HINT) == "not yet run"


def test_all_of_it_by_keys(map_):
    map_.locator(".klora-map canvas").focus()
    for key in ("p", "p", "ArrowDown", "ArrowRight", " ", "[", "ArrowRight", "ArrowRight", "]"):
        map_.keyboard.press(key)
        frames(map_)
    assert row(map_)["blocks"] == "down 1: 0" and row(map_)["start"] == 0.17 and row(map_)["end"] == 0.67
    map_.keyboard.press("End")
    for key in ("+", "+", "-"):
        map_.keyboard.press(key)
        frames(map_)
    assert row(map_)["blocks"] == "down 1: 0.1"
    map_.keyboard.press("Delete")
    frames(map_)
    assert row(map_) == PLAIN and map_.evaluate("Boolean(klora.fuse())"), "the node is not what is deleted"
    map_.keyboard.press("Escape")
    frames(map_)
    assert not map_.evaluate("klora.root().hasAttribute('data-paints')")
    map_.keyboard.press("ArrowDown")
    frames(map_)
    assert row(map_) == PLAIN


def test_a_stroke_that_is_given_up_leaves_the_row(map_):
    choose(map_, "subject")
    point = map_.evaluate(f"klora.point(klora.slots, {STEPS}, 2, 2)")
    map_.mouse.move(*point)
    map_.mouse.down()
    frames(map_)
    assert map_.evaluate(LINES)[0] != "subject: all blocks alike, 0 to 1 of the run"
    map_.keyboard.press("Escape")
    map_.mouse.up()
    frames(map_)
    assert row(map_, SUBJECT_SET) == PLAIN and map_.evaluate(HINT) == ""


def test_what_has_no_row_is_said(map_):
    map_.evaluate(
        f"""() => {{
          const primitive = LiteGraph.createNode('StringConcatenate')
          app.rootGraph.add(primitive)
          const set = app.rootGraph.getNodeById({STYLE_SET})
          primitive.connect(0, set, set.inputs.findIndex(({{ name }}) => name === 'blocks'))
        }}"""
    )
    choose(map_, "style")
    assert map_.evaluate(LINES)[0].startswith("A link says start, end, curve or blocks of style:")
    drag(map_, (0, 1), (3, 1))
    assert row(map_) == PLAIN


def test_what_was_painted_is_what_runs(map_):
    choose(map_, "style")
    first, last = up(map_)
    drag(map_, (first, 1), (last, 1))
    choose(map_, "style")
    before = map_.evaluate(f"klora.cells(klora.slots, {STEPS})")
    run(map_)
    map_.wait_for_function(f"() => {HINT} === ''")
    settle(map_)
    after = map_.evaluate(f"klora.cells(klora.slots, {STEPS})")
    assert [[*{*cells}] for cells in after] == [[*{*cells}] for cells in before]
    shot(map_, "painted-and-run")
