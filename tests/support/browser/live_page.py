"""A real page on a real server: opening it, running the SD1.5 workflow in it, and reading the live map."""

from __future__ import annotations

import contextlib
import json
import random
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.host.browser import ARGUMENTS, find_browser
from tools.host.find import REPO
from tools.host.server import Server
from tools.workflows.shipped import path_of

WORKFLOW = path_of("k-lora-sd15")
SHOTS = REPO / "build" / "screenshots"
FUSE, STEPS_NODE = 4, 8
SUBJECT_STRENGTH = 4
"""The widget's place on K-LoRA Fuse."""
STEPS = 6
_TINY = {
    "CheckpointLoaderSimple": ["tiny-sd15.safetensors"],
    "KLoRALoadPair": ["tiny-subject-sd15.safetensors", "tiny-style-sd15.safetensors"],
    "EmptyLatentImage": [32, 32, 1],
}
_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": True,
    "Comfy.Locale": "en",
    "Comfy.ColorPalette": "dark",
    "Comfy.VueNodes.Enabled": False,
}
HELPERS = Path(__file__).with_name("helpers.js").read_text(encoding="utf-8")
_RENEW = """async () => {
  const { command, workflow } = app.extensionManager
  await command.execute('Comfy.NewBlankWorkflow')
  for (const one of [...workflow.openWorkflows])
    if (one.path !== workflow.activeWorkflow.path) await workflow.closeWorkflow(one)
  klora.runs.length = 0
}"""
CLASSIC = pytest.mark.parametrize("window", ["classic"], indirect=True)
"""Of a test or a file that says nothing of how nodes are drawn."""


def workflow(steps: int = 6) -> dict[str, Any]:
    """The shipped SD1.5 workflow on the tiny model, small and short."""
    graph = json.loads(WORKFLOW.read_text())
    for node in graph["nodes"]:
        if node["type"] in _TINY:
            # Of its own: tests change it.
            node["widgets_values"] = [*_TINY[node["type"]]]
        if node["type"] == "PrimitiveInt":
            node["widgets_values"] = [steps, "fixed"]
        node.get("properties", {}).pop("models", None)
    return graph


def fresh(steps: int = 6) -> dict[str, Any]:
    """A workflow that no run belongs to yet: not in the server's history, nothing of it in its cache."""
    graph = workflow(steps)
    graph["id"] = str(uuid.uuid4())
    for node in graph["nodes"]:
        if node["type"] == "KSampler":
            node["widgets_values"][0] = random.randrange(2**32)
        if node["id"] == FUSE:
            node["widgets_values"][SUBJECT_STRENGTH] = round(random.uniform(1, 1.1), 6)
    return graph


def _settings(server: Server, changes: dict[str, Any]) -> None:
    request = urllib.request.Request(
        server.url + "/settings",
        json.dumps({**_SETTINGS, **changes}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=30).close()


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(find_browser()), args=ARGUMENTS)
        yield chromium
        chromium.close()


@contextlib.contextmanager
def page(
    chromium: Any,
    server: Server,
    *,
    sharpness: float = 1,
    width: int = 1500,
    height: int = 1000,
    hear: Callable[[Any], object] = lambda _: None,
    **settings: Any,
) -> Iterator[Any]:
    """The page with the given settings. `page.problems` lists its errors and our own log lines; `hear` gets
    each line.
    """
    # Where nothing but our map moves, less is painted.
    context = chromium.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=sharpness, reduced_motion="reduce"
    )
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.problems = []
    opened.settings = {f"Comfy.{key.replace('__', '.')}": value for key, value in settings.items()}
    opened.on("pageerror", lambda error: opened.problems.append(f"{error}\n{error.stack}"))
    opened.on("console", lambda line: opened.problems.extend(_ours(line)))
    opened.on("console", lambda line: hear(line))
    opened.add_init_script(HELPERS)
    visit(opened, server)
    # The page's own first workflow: on a busy machine it comes after all else, and would come upon a test's.
    opened.wait_for_function("app.rootGraph.nodes.length > 0")
    yield opened
    context.close()


def visit(opened: Any, server: Server) -> None:
    """Open or reload the page, with its own settings, and wait until its graph is there."""
    _settings(server, opened.settings)
    opened.goto(server.url)
    opened.wait_for_function("window.app?.extensionManager && app.isGraphReady && app.vueAppReady")
    opened.wait_for_timeout(500)
    opened.evaluate("klora.listen()")


@contextlib.contextmanager
def renewed(opened: Any, width: int = 1500, height: int = 1000) -> Iterator[None]:
    """The page as new, without the time: an empty workflow alone, in a window of that size."""
    opened.problems.clear()
    opened.set_viewport_size({"width": width, "height": height})
    opened.evaluate(_RENEW)
    yield
    assert opened.problems == [], "\n".join(opened.problems)


def _ours(line: Any) -> list[str]:
    where = line.location.get("url", "")
    # The page asks for help in its own language first; a missing page there is how it learns.
    if "/docs/" in where and where.endswith("/en.md"):
        return []
    # A newer page that leaves a workflow looks for the inputs of its app in the empty one behind.
    if line.text.startswith("[appModeStore] dropping legacy selectedInput tuple"):
        return []
    place = f"{line.text} {where}"
    return [place] if "klora" in place.lower().replace("-", "") else []


def load(opened: Any, graph: dict[str, Any]) -> None:
    """Load a workflow into the page."""
    opened.evaluate("(graph) => app.loadGraphData(graph)", graph)
    opened.wait_for_function("app.rootGraph.nodes.length > 5")


def run(opened: Any) -> None:
    """Queue the graph and wait for the run's end, which must be a good one."""
    queue(opened, lambda: opened.evaluate("app.queuePrompt(0, 1)"))


def queue(opened: Any, act: Callable[[], object], within: float = 360) -> None:
    """Do what queues a prompt and wait for its end, so many seconds; an error where that is no good one."""
    before = opened.evaluate("klora.prompts.length")
    act()
    opened.wait_for_function(f"klora.prompts.length > {before} && klora.ended()", timeout=within * 1000)
    ended = opened.evaluate("klora.ended()")
    if ended["kind"] != "execution_success":
        raise AssertionError(f"{ended['kind']}: {json.dumps(ended['detail'])}")


def go_into_subgraph(opened: Any) -> None:
    """The Fuse node goes into a subgraph, and the page after it."""
    _slowly(
        opened,
        "klora.sub = app.rootGraph.convertToSubgraph(new Set([klora.fuse()])).node",
        "app.canvas.openSubgraph(klora.sub.subgraph, klora.sub)",
        "klora.outer = klora.fuse; klora.fuse = () => klora.sub.subgraph.nodes[0]",
    )


def unpack_subgraph(opened: Any) -> None:
    """The way back: the page first, then the node."""
    _slowly(
        opened,
        "app.canvas.setGraph(app.rootGraph)",
        "app.rootGraph.unpackSubgraph(klora.sub)",
        "klora.fuse = klora.outer",
    )


def _slowly(opened: Any, *acts: str) -> None:
    # As slowly as a person is: the page takes a moment between these.
    for act in acts:
        opened.evaluate(f"() => {{ {act} }}")
        opened.wait_for_timeout(300)


def show(opened: Any, document: dict[str, Any]) -> None:
    """Hand a document to the Fuse node, as the server does when the node has run; wait for its map."""
    # What a graph that was just loaded still draws is not this map.
    frames(opened)
    before = draws(opened)
    opened.evaluate("(document) => klora.show(document)", document)
    opened.wait_for_function(f"klora.root()?.dataset.draws > {before}")
    frames(opened)


def frames(opened: Any, count: int = 3) -> None:
    """Let a few animation frames pass."""
    opened.evaluate(
        """async (count) => {
          for (let i = 0; i < count; i++) await new Promise(requestAnimationFrame)
        }""",
        count,
    )


def draws(opened: Any) -> int:
    """How often the map was drawn."""
    return int(opened.evaluate("klora.root()?.dataset.draws ?? 0"))


def look_at_fuse(opened: Any, zoom: float = 1.0) -> None:
    """Bring the Fuse node into the middle of the page."""
    opened.evaluate(
        """(zoom) => {
          const { ds, canvas } = app.canvas
          const node = klora.fuse()
          const [width, height] = node.size
          ds.scale = zoom
          ds.offset = [
            canvas.clientWidth / 2 / zoom - node.pos[0] - width / 2,
            canvas.clientHeight / 2 / zoom - node.pos[1] - height / 2,
          ]
          app.canvas.setDirty(true, true)
        }""",
        zoom,
    )
    opened.wait_for_timeout(400)


def nothing_drawn(opened):
    """A map that waits for a run, also after the page has cleared away the graph before this one."""
    opened.wait_for_function("klora.root()?.hasAttribute('data-empty')")
    opened.wait_for_timeout(400)
    assert opened.evaluate("klora.root().hasAttribute('data-empty')")


def settle(opened):
    """Wait until the map is there and its size has come to rest."""
    opened.wait_for_function("klora.root()?.dataset.draws > 0")
    before = None
    while before != (before := draws(opened)):
        opened.wait_for_timeout(250)


def shot(opened, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SHOTS / f"live-map-{name}-{opened.renderer}.png")
