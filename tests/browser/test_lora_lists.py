"""What the page shows of LoRAs: pictures in open lists, words to copy, sets that change places."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.support.browser.live_page import SHOTS, fresh, load, renewed
from tools.host.find import REPO

SUBJECT, STYLE = "tiny-subject-sd15.safetensors", "tiny-style-sd15.safetensors"
PAIR = "app.rootGraph.nodes.find((node) => node.type === 'KLoRALoadPair')"
LOOK = f"""() => {{
  const node = {PAIR}
  const {{ ds }} = app.canvas
  ds.scale = 1
  ds.offset = [300 - node.pos[0], 300 - node.pos[1]]
  app.canvas.setDirty(true, true)
}}"""
WIDGET = f"""() => {{
  const node = {PAIR}
  const {{ ds, canvas }} = app.canvas
  const box = canvas.getBoundingClientRect()
  const x = node.pos[0] + node.size[0] / 2, y = node.pos[1] + node.widgets[0].last_y + 10
  return [box.left + (x + ds.offset[0]) * ds.scale, box.top + (y + ds.offset[1]) * ds.scale]
}}"""
SHOWN = """() => {
  const picture = document.querySelector('.klora-preview')
  return picture && picture.style.visibility === 'visible' ? picture.naturalWidth : 0
}"""


@pytest.fixture
def looked(window):
    """The loader in view."""
    with renewed(window):
        load(window, fresh(3))
        window.wait_for_timeout(600)
        window.evaluate(LOOK)
        window.wait_for_timeout(400)
        yield window


def open_list(opened: Any) -> None:
    if opened.renderer == "vue":
        node = opened.evaluate(f"{PAIR}.id")
        opened.locator(f'[data-node-id="{node}"] [role=combobox]').first.click()
    else:
        opened.mouse.click(*opened.evaluate(WIDGET))
    opened.wait_for_selector(ENTRY)


ENTRY = ".litemenu-entry, [role=option]"


def shot(opened: Any, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SHOTS / f"lists-{name}-{opened.renderer}.png")


def test_the_picture_beside_a_file_shows_where_its_entry_is_pointed_at(looked, server):
    folder = server.base / "models" / "loras"
    shutil.copy(REPO / "assets" / "icon.png", folder / SUBJECT.replace(".safetensors", ".preview.png"))
    open_list(looked)
    looked.locator(ENTRY).get_by_text(SUBJECT, exact=True).first.hover()
    looked.wait_for_function(f"({SHOWN})() > 0")
    shot(looked, "preview")
    looked.locator(ENTRY).get_by_text(STYLE, exact=True).first.hover()
    looked.wait_for_timeout(600)
    assert looked.evaluate(SHOWN) == 0, "that file has none"
    looked.locator(ENTRY).get_by_text(SUBJECT, exact=True).first.hover()
    looked.wait_for_function(f"({SHOWN})() > 0")
    looked.keyboard.press("Escape")
    looked.wait_for_timeout(300)
    assert looked.evaluate(SHOWN) == 0, "it goes with the list"


PLACE = f"""() => {{
  const node = {PAIR}
  const {{ ds, canvas }} = app.canvas
  const box = canvas.getBoundingClientRect()
  const [, y] = node.getOutputPos(node.outputs.findIndex(({{ name }}) => name === 'subject_words'))
  const x = node.pos[0] + node.size[0] - 60
  return [box.left + (x + ds.offset[0]) * ds.scale, box.top + (y + ds.offset[1]) * ds.scale]
}}"""
MENU = f"""() => app.extensions.find(({{ name }}) => name === 'KLoRA.LiveMap').getNodeMenuItems({PAIR})
  .map(({{ content }}) => content)"""


def test_a_click_copies_the_trigger_words(window):
    opened = window
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    told = {SUBJECT: "sks dog, sitting"}

    def answer(route):
        words = next((words for name, words in told.items() if name in route.request.url), "")
        route.fulfill(json={"trigger_words": words, "base_model": "SD1.5"})

    opened.route("**/klora/lora?*", answer)
    try:
        with renewed(opened):
            load(opened, fresh(3))
            opened.evaluate(LOOK)
            opened.evaluate("navigator.clipboard.writeText('nothing')")
            opened.wait_for_function(f"({MENU})().length === 1")
            assert opened.evaluate(MENU) == ["copy the trigger words: sks dog, sitting"]
            opened.wait_for_timeout(500)
            if opened.renderer == "vue":
                opened.get_by_text("subject_words: sks dog, sitting").first.click()
            else:
                opened.mouse.click(*opened.evaluate(PLACE))
            opened.wait_for_timeout(400)
            shot(opened, "words")
            assert opened.evaluate("navigator.clipboard.readText()") == "sks dog, sitting"
    finally:
        opened.unroute("**/klora/lora?*")


ROW = """() => {
  const { LiteGraph } = window
  const made = (type) => app.graph.add(LiteGraph.createNode(type)) ?? app.rootGraph.nodes.at(-1)
  const rows = ['subject', 'style', 'other'].map((role, i) => {
    const [file, set] = [made('KLoRALoadLora'), made('KLoRASet')]
    file.title = `file ${role}`
    set.title = `row ${role}`
    set.pos = [i * 400, 300]
    set.widgets.find(({ name }) => name === 'role').value = role
    file.connect(0, set, 'lora')
    return set
  })
  rows[0].connect(0, rows[1], 'set')
  rows[1].connect(0, rows[2], 'set')
  rows[2].widgets.find(({ name }) => name === 'on').value = false
}"""
READ = """() => {
  const sets = app.rootGraph.nodes.filter(({ type }) => type === 'KLoRASet')
  let set = sets.find((node) => !node.getOutputNodes(0)?.length)
  const told = []
  while (set) {
    const value = (name) => set.widgets.find((widget) => widget.name === name).value
    const from = (name) => set.getInputNode(set.inputs.findIndex((input) => input.name === name))
    told.unshift([set.title, value('role'), from('lora')?.title, value('on')])
    set = from('set')
  }
  return told
}"""
MOVE = """([title, at]) => {
  const node = app.rootGraph.nodes.find((node) => node.title === title)
  const own = app.extensions.find(({ name }) => name === 'KLoRA.LiveMap')
  const items = own.getNodeMenuItems(node).filter(Boolean)
  if (items[at].disabled) return false
  items[at].callback()
  return true
}"""
UP, DOWN = 0, 1


def test_a_row_changes_places_without_a_wire_moved_by_hand(window):
    opened = window
    subject, style, other = (
        [f"row {role}", role, f"file {role}", role != "other"] for role in ("subject", "style", "other")
    )
    with renewed(opened):
        opened.evaluate(ROW)
        assert opened.evaluate(READ) == [subject, style, other]
        assert opened.evaluate(MOVE, ["row other", UP])
        assert opened.evaluate(READ) == [subject, other, style]
        assert opened.evaluate(MOVE, ["row subject", DOWN])
        assert opened.evaluate(READ) == [other, subject, style]
        assert not opened.evaluate(MOVE, ["row other", UP])
        assert not opened.evaluate(MOVE, ["row style", DOWN])
        # The prompt says the same.
        prompt = opened.evaluate("app.graphToPrompt().then(({ output }) => output)")
        assert sum(node["class_type"] == "KLoRASet" for node in prompt.values()) == 3
