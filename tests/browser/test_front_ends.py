"""What depends on the version of the page: theme, the node's height, a change of its subgraph, errors.

Run on the page that the host pins, and once more on the newest one of the package registry.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from klora_core import palette
from tests.support.browser.live_page import (
    STEPS,
    fresh,
    go_into_subgraph,
    load,
    look_at_fuse,
    nothing_drawn,
    page,
    renewed,
    run,
    settle,
    unpack_subgraph,
)
from tests.support.browser.live_page import shot as take
from tools.host import front_end
from tools.host.find import HostError
from tools.serving import serving

HINT = "klora.root().querySelector('.klora-hint').textContent"
SHARE = "klora.root().querySelector('.klora-share').innerText"
BACKGROUND = "klora.root().style.getPropertyValue('--klora-background')"
HAND = "window.dispatchEvent(new PointerEvent('pointerup'))"


# The newest page needs a second server: `make test-browser FRONTEND=newest` runs all of the lane on it.
_PAGES = ["pinned", front_end.NEWEST] if os.environ.get("KLORA_FRONT_ENDS") == "both" else ["pinned"]


@pytest.fixture(scope="module", params=_PAGES)
def opened(request, window, chromium):
    if request.param == "pinned":
        with renewed(window):
            yield after_a_run(window)
        return
    if front_end.named():
        pytest.skip("the lane runs on another page already")
    try:
        newest = front_end.root(front_end.NEWEST)
    except HostError as error:
        pytest.skip(str(error))
    with (
        serving("sd15", front_end=newest) as server,
        page(chromium, server, VueNodes__Enabled=window.renderer == "vue") as it,
    ):
        it.renderer = window.renderer
        yield after_a_run(it)
        assert it.problems == []


def after_a_run(it: Any) -> Any:
    load(it, fresh(STEPS))
    nothing_drawn(it)
    it.before = it.evaluate("[...klora.fuse().size]")
    run(it)
    settle(it)
    return it


def shot(opened: Any, request: Any, name: str) -> None:
    take(opened, f"{name}-{'newest' if 'newest' in request.node.name else 'pinned'}")


def heard(opened: Any, script: str, hint: str) -> None:
    """Do something on the page, lift the finger, and wait for what the map says."""
    opened.evaluate(f"() => {{ {script}; {HAND} }}")
    opened.wait_for_function(f"{HINT} === '{hint}'")


def test_a_run_leaves_the_nodes_height_and_the_map_takes_the_pages_theme(opened, request):
    assert opened.evaluate("[...klora.fuse().size]") == opened.before
    low = opened.evaluate("klora.fuse().pos[1] + klora.fuse().size[1]")
    group = "app.rootGraph.groups.find((group) => group.title.includes('Fuse'))"
    assert low <= opened.evaluate(f"{group}.pos[1] + {group}.size[1]")
    assert opened.evaluate(BACKGROUND) == palette.THEMES["dark"]["background"]
    look_at_fuse(opened)
    shot(opened, request, "front-end")
    opened.evaluate("() => { app.extensionManager.setting.set('Comfy.ColorPalette', 'light') }")
    opened.wait_for_function(f"{BACKGROUND} === '{palette.THEMES['light']['background']}'")
    shot(opened, request, "front-end-light")
    opened.evaluate("() => { app.extensionManager.setting.set('Comfy.ColorPalette', 'dark') }")
    opened.wait_for_function(f"{BACKGROUND} === '{palette.THEMES['dark']['background']}'")


def test_the_map_is_there_at_any_zoom(opened):
    look_at_fuse(opened, 0.3)
    opened.wait_for_timeout(300)
    assert opened.evaluate("klora.root().checkVisibility()")
    look_at_fuse(opened)


def test_the_map_follows_what_other_nodes_set(opened):
    share = opened.evaluate(SHARE)
    link = "klora.fuse().inputs.findIndex((one) => one.name === 'balance')"
    make = "klora.set = LiteGraph.createNode('PrimitiveFloat'); app.rootGraph.add(klora.set)"
    wire = f"klora.set.connect(0, klora.fuse(), {link})"
    heard(opened, f"{make}; klora.set.widgets[0].value = 0.5; {wire}", "not yet run")
    assert opened.evaluate(SHARE) != share
    heard(opened, "app.rootGraph.remove(klora.set)", "")
    assert opened.evaluate(SHARE) == share
    loader = "app.rootGraph.nodes.find((node) => node.type === 'KLoRALoadPair').widgets"
    swap = f"[{loader}[0].value, {loader}[1].value] = [{loader}[1].value, {loader}[0].value]"
    heard(opened, swap, "other LoRAs, not yet run")
    heard(opened, swap, "")


def test_a_bypassed_node_says_so(opened, request):
    heard(opened, "klora.fuse().mode = 4", "bypassed, not in use")
    shot(opened, request, "bypassed")
    heard(opened, "klora.fuse().mode = 2", "muted, not in use")
    heard(opened, "klora.fuse().mode = 0", "")


def test_the_map_goes_into_a_subgraph_and_out_again(opened, request):
    share = opened.evaluate(SHARE)
    go_into_subgraph(opened)
    opened.wait_for_timeout(300)
    look_at_fuse(opened)
    opened.wait_for_function(f"klora.root()?.dataset.draws > 0 && {SHARE} === '{share}'")
    promote = """const inner = klora.fuse(), slot = inner.inputs.find((one) => one.name === 'balance')
      klora.sub.subgraph.addInput('balance', 'FLOAT').connect(slot, inner)
      klora.sub.widgets.find((widget) => widget.name === 'balance').value = 0.6"""
    heard(opened, promote, "not yet run")
    assert opened.evaluate(SHARE) != share
    heard(opened, "klora.sub.mode = 4", "bypassed, not in use")
    heard(
        opened,
        "klora.sub.mode = 0; klora.sub.widgets.find((widget) => widget.name === 'balance').value = 0",
        "",
    )
    unpack_subgraph(opened)
    opened.wait_for_timeout(300)
    look_at_fuse(opened)
    opened.wait_for_function(f"klora.root()?.dataset.draws > 0 && {SHARE} === '{share}'")
    shot(opened, request, "unpacked")


# Who uses what the page calls deprecated: the functions of ours on the way there. A file is read by the
# page's own code, which is called from old_orders.js.
DEPRECATED = """() => {
  LiteGraph.alwaysRepeatWarnings = true
  klora.deprecated = []
  LiteGraph.onDeprecationWarning.push((message) => {
    const ours = new Error().stack.split('\\n').filter((line) => line.includes('/k-lora/js/'))
    const own = ours.filter((line) => !line.includes('old_orders.js'))
    if (own.length) klora.deprecated.push([message, ...own])
  })
}"""


EVERY_KIND = """() => {
  const kinds = Object.keys(LiteGraph.registered_node_types).filter((kind) => kind.startsWith('KLoRA'))
  klora.every = kinds.map((kind) => LiteGraph.createNode(kind))
  for (const one of klora.every) app.rootGraph.add(one)
}"""


def test_nothing_is_used_that_the_page_calls_deprecated(opened):
    opened.evaluate(DEPRECATED)
    load(opened, fresh(STEPS))
    nothing_drawn(opened)
    run(opened)
    settle(opened)
    go_into_subgraph(opened)
    opened.evaluate(f"() => {{ {HAND} }}")
    opened.wait_for_timeout(600)
    unpack_subgraph(opened)
    opened.wait_for_timeout(600)
    opened.evaluate(EVERY_KIND)
    opened.wait_for_timeout(600)
    opened.evaluate("() => { for (const one of klora.every) app.rootGraph.remove(one) }")
    assert opened.evaluate("klora.deprecated") == []
    look_at_fuse(opened)


# A LoRA Set in the middle of the page, in front of a node that shows anything.
BROKEN = """() => {
  const make = (type) => {
    const node = LiteGraph.createNode(type)
    const { ds, canvas } = app.canvas
    node.pos = [canvas.clientWidth / 2 - ds.offset[0], canvas.clientHeight / 4 - ds.offset[1]]
    app.rootGraph.add(node)
    return node
  }
  klora.set = make('KLoRASet')
  klora.shown = make('PreviewAny')
  klora.shown.pos[0] += 400
  klora.set.connect(0, klora.shown, 0)
}"""
# The same set with a style alone, in front of a node that wants a subject too.
STILL_BROKEN = """() => {
  const { graph } = klora.set
  const at = (node, name) => node.inputs.findIndex((one) => one.name === name)
  const find = (type) => graph.nodes.find((node) => node.type === type)
  klora.compose = LiteGraph.createNode('KLoRACompose')
  klora.compose.pos = [klora.set.pos[0] - 600, klora.set.pos[1]]
  graph.add(klora.compose)
  klora.set.widgets.find((widget) => widget.name === 'role').value = 'style'
  find('KLoRALoadPair').connect(1, klora.set, at(klora.set, 'lora'))
  klora.set.connect(0, klora.compose, at(klora.compose, 'set'))
  find('CheckpointLoaderSimple').connect(0, klora.compose, at(klora.compose, 'model'))
  klora.compose.connect(3, klora.shown, 0)
}"""
SAYING = """(sentence) => [...document.querySelectorAll('body *')]
  .filter((one) => !one.children.length && one.textContent.trim() === sentence)
  .filter((one) => one.checkVisibility()).length"""


def failed(opened: Any) -> str:
    """Run, and return the sentence of the error, which the page shows twice: as a toast and on the node."""
    with pytest.raises(Exception, match="execution_error") as caught:
        run(opened)
    (sentence,) = (line for line in SENTENCES if line in str(caught.value))
    opened.wait_for_function(f"(sentence) => ({SAYING})(sentence) >= 2", arg=sentence)
    assert "klora_core" not in opened.evaluate("document.body.innerText")
    return sentence


SENTENCES = (
    "Connect a LoRA, a LoRA stack, or another set: the LoRA Set is empty.",
    "Set roles: K-LoRA needs a subject and a style LoRA, and no LoRA here is a subject.",
)


def test_an_error_is_told_in_one_sentence(opened, request):
    opened.evaluate(BROKEN)
    height = opened.evaluate("klora.set.size[1]")
    assert failed(opened) == SENTENCES[0]
    shot(opened, request, "error")
    opened.evaluate(STILL_BROKEN)
    assert failed(opened) == SENTENCES[1]
    shot(opened, request, "error-map")
    # The next run takes the last one's error away.
    opened.wait_for_function(f"(sentence) => ({SAYING})(sentence) === 0", arg=SENTENCES[0])
    assert opened.evaluate("klora.set.size[1]") == height
    for name in ("set", "shown", "compose"):
        opened.evaluate(f"() => {{ app.rootGraph.remove(klora.{name}) }}")
    run(opened)
    opened.wait_for_function(f"(sentence) => ({SAYING})(sentence) === 0", arg=SENTENCES[1])
