"""What a person does on the page, by mouse and keys alone: open a template, choose files, run, look."""

from __future__ import annotations

import re
from typing import Any

from .live_page import queue

HOSTS_PICTURES = re.compile(r"/templates/.*\.(webp|png|jpg|mp3|mp4|webm)")
_RUN_SECONDS = 300
WIDGET = """([id, name]) => {
  const node = app.rootGraph.getNodeById(id)
  const widget = node.widgets.find((one) => one.name === name)
  const { left, top } = app.canvas.canvas.getBoundingClientRect()
  const [x, y] = app.canvas.ds.convertOffsetToCanvas([
    node.pos[0] + node.size[0] * 0.6, node.pos[1] + (widget.last_y ?? 0) + 10,
  ])
  return [left + x, top + y]
}"""
TITLE = """(id) => {
  const node = app.rootGraph.getNodeById(id)
  const { left, top } = app.canvas.canvas.getBoundingClientRect()
  const [x, y] = app.canvas.ds.convertOffsetToCanvas([node.pos[0] + node.size[0] / 2, node.pos[1] - 12])
  return [left + x, top + y]
}"""
VALUE = "([id, name]) => app.rootGraph.getNodeById(id).widgets.find((one) => one.name === name).value"
UNMET = """() => app.rootGraph.nodes.flatMap((node) => (node.widgets ?? [])
  .filter((widget) => widget.options?.values?.length && !widget.options.values.includes(widget.value))
  .map((widget) => [node.id, widget.name, String(widget.value)]))"""
"""Lists whose value is none of their entries: node, widget and value."""
WRONG = """() => [
  ...Object.entries(app.lastNodeErrors ?? {}).map((one) => JSON.stringify(one)),
  ...(app.lastExecutionError ? [JSON.stringify(app.lastExecutionError)] : []),
  ...app.rootGraph.nodes.filter((node) => node.has_errors).map((node) => `${node.id} ${node.type}`),
]"""
# Of the nodes that show what they made: whether a picture or a film is on them. Of Pick and Learn that is its
# sheet: what follows has nothing to show before something was picked.
SHOWN = """() => {
  const there = (shown) => shown.some((one) => (one.naturalWidth || one.videoWidth) > 0)
  const picking = app.rootGraph.nodes.filter((node) => node.type === 'KLoRAPickAndLearn')
  const sheet = [...document.querySelectorAll('.klora-sheet img')]
  if (picking.length) return picking.map(({ type }) => [type, there(sheet)])
  return app.rootGraph.nodes
    .filter((node) => /^(Save|Preview)(Image|Video)$/.test(node.type) && !node.flags.collapsed)
    .map((node) => {
      const inside = [...document.querySelectorAll(`[data-node-id="${node.id}"] :is(img, video)`)]
      const films = [...(node.videoContainer?.querySelectorAll('video') ?? [])]
      return [node.type, there([...(node.imgs ?? []), ...inside, ...films])]
    })
}"""
# Few steps and small pictures, for machines without a GPU; a new seed, so that nothing is taken from a cache.
SMALL = """(steps) => {
  const least = { width: 64, height: 64, length: 5, megapixels: 0.01 }
  for (const { title, widgets = [] } of app.rootGraph.nodes) for (const widget of widgets) {
    if (widget.name in least) widget.value = least[widget.name]
    else if (widget.name === 'seed' || (title === 'Seed' && widget.name === 'value'))
      widget.value = Math.floor(Math.random() * 2 ** 32)
    else if (title === 'Steps' && widget.name === 'value') widget.value = steps
    else if (widget.name === 'method.steps') widget.value = steps
    else if (title.endsWith(' from') && widget.name === 'value') widget.value = steps / 2
  }
}"""
DROP = """([text, name]) => {
  const data = new DataTransfer()
  data.items.add(new File([text], name, { type: 'application/json' }))
  const { left, top, width, height } = app.canvas.canvas.getBoundingClientRect()
  const at = { clientX: left + width / 2, clientY: top + height / 2, bubbles: true, cancelable: true }
  for (const kind of ['dragenter', 'dragover', 'drop'])
    app.canvas.canvas.dispatchEvent(new DragEvent(kind, { dataTransfer: data, ...at }))
}"""


def open_template(opened: Any, title: str) -> None:
    """By the bar at the side: Templates, the pack, the card."""
    # The host's own hundreds of moving pictures take a slow machine's page a minute.
    opened.route(HOSTS_PICTURES, lambda route: route.abort())
    opened.get_by_role("button", name="Templates", exact=True).click()
    dialog = opened.get_by_role("dialog")
    dialog.get_by_text("K-LoRA", exact=True).click()
    dialog.get_by_text(title, exact=True).click()
    opened.wait_for_function("app.rootGraph.nodes.some((node) => node.type.startsWith('KLoRA'))")
    opened.wait_for_timeout(1000)


def choose(opened: Any, node: int, widget: str, value: str) -> None:
    """Open a list on a node and click one entry; the page must show the widget."""
    if opened.renderer == "vue":
        box = opened.locator(f"[data-node-id='{node}']").get_by_role("combobox", name=widget, exact=True)
        box.click()
        opened.get_by_role("option", name=value, exact=True).click()
    else:
        opened.mouse.click(*opened.evaluate(WIDGET, [node, widget]))
        entry(opened, value).click()
    opened.wait_for_timeout(300)
    assert opened.evaluate(VALUE, [node, widget]) == value


def entry(opened: Any, text: str) -> Any:
    """An entry of the menu or list that is open."""
    return (
        opened.locator(".litecontextmenu .litemenu-entry")
        .get_by_text(text, exact=True)
        .or_(opened.locator(f".litecontextmenu .litemenu-entry[data-value='{text}']"))
        .first
    )


def press_run(opened: Any) -> None:
    """Press Run and wait for the run's end, which must be a good one."""
    queue(opened, opened.get_by_test_id("queue-button").click, _RUN_SECONDS)
    assert opened.evaluate(WRONG) == []


def drop(opened: Any, text: str, name: str) -> None:
    """A file dragged onto the page."""
    opened.evaluate(DROP, [text, name])


def see_pictures(opened: Any) -> None:
    """Each node that shows pictures shows one."""
    opened.wait_for_function(f"({SHOWN})().length && ({SHOWN})().every(([, there]) => there)", timeout=20_000)
