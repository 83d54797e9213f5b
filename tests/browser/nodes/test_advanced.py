"""A node's advanced inputs: behind one row on the classic canvas, behind Nodes 2.0's own button there."""

from __future__ import annotations

import pytest

from tests.support.browser.live_page import CLASSIC, FUSE, frames, fresh, load, look_at_fuse, shot
from tests.support.browser.undo import CHANGED, step_back

BY_HAND = """() => {
  app.rootGraph.clear()
  const node = LiteGraph.createNode('KLoRAFuse')
  node.pos = [300, 60]
  app.rootGraph.add(node)
}"""
HEIGHT = "klora.fuse().size[1]"
LABEL = "klora.widget('klora_advanced').label"
ADVANCED = "klora.fuse().widgets.filter(({ options }) => options?.advanced)"
# Of a linked input newer front ends show the row alone, without its widget.
ROW_OF = "(klora.fuse().isWidgetRowVisible ?? klora.fuse().isWidgetVisible).call(klora.fuse(), one)"
SHOWN = f"{ADVANCED}.filter((one) => {ROW_OF}).map(({{ name }}) => name)"
ROWS = 9
ROW = 24
AT = """() => {
  const { ds, canvas } = app.canvas
  const node = klora.fuse(), { left, top } = canvas.getBoundingClientRect()
  const y = node.pos[1] + klora.widget('klora_advanced').y + 10
  const x = node.pos[0] + node.size[0] / 2
  return [left + (x + ds.offset[0]) * ds.scale, top + (y + ds.offset[1]) * ds.scale]
}"""


@pytest.fixture
def template(opened):
    load(opened, fresh())
    opened.wait_for_timeout(600)
    look_at_fuse(opened)
    opened.evaluate(CHANGED)
    return opened


def click(opened):
    opened.mouse.click(*opened.evaluate(AT))
    opened.wait_for_timeout(400)


@CLASSIC
def test_a_node_added_by_hand_is_low_and_grows_for_them(opened):
    opened.evaluate(BY_HAND)
    frames(opened)
    look_at_fuse(opened)
    low = opened.evaluate(HEIGHT)
    assert low < 560 and opened.evaluate(SHOWN) == []
    assert opened.evaluate(LABEL) == f"▸ Advanced: {ROWS}"
    shot(opened, "by-hand")
    click(opened)
    assert len(opened.evaluate(SHOWN)) == ROWS
    assert opened.evaluate(HEIGHT) == low + ROWS * ROW
    assert opened.evaluate(LABEL) == f"▾ Advanced: {ROWS}"
    click(opened)
    assert opened.evaluate(HEIGHT) == low and opened.evaluate(SHOWN) == []


@CLASSIC
def test_the_map_makes_room_where_it_has_some(template):
    height = template.evaluate(HEIGHT)
    before = template.evaluate("klora.root().offsetHeight")
    click(template)
    assert template.evaluate(HEIGHT) == height
    assert template.evaluate("klora.root().offsetHeight") == before - ROWS * ROW
    shot(template, "advanced")
    click(template)
    assert template.evaluate("klora.root().offsetHeight") == before


@CLASSIC
def test_undo_takes_it_back_and_a_workflow_keeps_it(template):
    click(template)
    for keys, shown in (("Control+z", 0), ("Control+y", ROWS)):
        step_back(template, keys)
        assert len(template.evaluate(SHOWN)) == shown, keys
    saved = template.evaluate("klora.saved()")
    load(template, fresh())
    assert template.evaluate(SHOWN) == []
    load(template, saved)
    template.wait_for_timeout(400)
    assert len(template.evaluate(SHOWN)) == ROWS
    assert template.evaluate(LABEL) == f"▾ Advanced: {ROWS}"


@CLASSIC
def test_what_is_set_or_linked_is_said_and_seen(template):
    template.evaluate("klora.turn('gamma', 'none'); klora.turn('schedule.alpha', 2)")
    assert template.evaluate(LABEL) == f"▸ Advanced: {ROWS}, 2 changed"
    template.evaluate(
        """() => {
          const source = LiteGraph.createNode('PrimitiveFloat')
          app.rootGraph.add(source)
          source.connect(0, klora.fuse(), klora.fuse().inputs.findIndex((one) => one.name === 'outside'))
        }"""
    )
    template.wait_for_function(f"{SHOWN}.length === 1")
    assert template.evaluate(SHOWN) == ["outside"]
    assert template.evaluate(LABEL) == f"▸ Advanced: {ROWS - 1}, 2 changed"


@CLASSIC
def test_another_schedule_leaves_the_height(template):
    template.evaluate("klora.turn('balance', 0.1)")
    frames(template)
    height = template.evaluate(HEIGHT)
    for schedule, rows in (("s*", 9), ("np-lora", 7), ("s", 9)):
        template.evaluate(f"klora.turn('schedule', '{schedule}')")
        frames(template)
        assert template.evaluate(HEIGHT) == height, schedule
        assert template.evaluate(LABEL).startswith(f"▸ Advanced: {rows}"), schedule
        assert template.evaluate(SHOWN) == []


@pytest.mark.parametrize("window", ["vue"], indirect=True)
def test_nodes_2_0_has_its_own_button_alone(template):
    node = template.locator(f'[data-node-id="{FUSE}"]')
    assert node.get_by_text("Advanced:").count() == 0
    template.get_by_test_id("advanced-inputs-button").first.click()
    node.get_by_text("gamma", exact=True).wait_for()
    assert template.evaluate("klora.fuse().showAdvanced") is True
    shot(template, "advanced")


def test_the_row_is_no_setting(template):
    prompt = template.evaluate("app.graphToPrompt().then(({ output }) => output)")
    assert "klora_advanced" not in prompt[str(FUSE)]["inputs"]
    node = next(node for node in template.evaluate("klora.saved()")["nodes"] if node["id"] == FUSE)
    assert "klora_advanced" not in node.get("widgets_values_named", {})
    assert None not in node["widgets_values"] and len(node["widgets_values"]) == 13


@CLASSIC
def test_a_node_of_few_has_no_row(window):
    window.evaluate("window.few = LiteGraph.createNode('KLoRASet')")
    assert not window.evaluate("few.widgets.some(({ name }) => name === 'klora_advanced')")
