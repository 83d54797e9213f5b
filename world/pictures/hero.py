"""Photographs the README's picture: the real page after a run on the small world, map open.

`python -m world.pictures.hero` rewrites assets/hero.jpg: a subject and a style, each alone, added, and fused
by K-LoRA at the settings that the node shows.
"""

from __future__ import annotations

import io

from PIL import Image

from tests.support.browser.live_page import browser, load, page, run
from tools.host.find import REPO
from tools.workflows.editor.host_nodes import HostNodes
from world.pictures.cast import LEAN, PAIR, serving_world
from world.pictures.files import LARGE, save
from world.pictures.hero_graph import graph

PICTURE = REPO / "assets" / "hero.jpg"
STEPS = 30
STRAIGHT = 0
TABS, HIGH = 40, 945
"""The row of tabs is left out, and what is below the nodes."""
# The numbered groups, in the graph's units.
FRAME = """() => {
  const groups = app.rootGraph.groups.filter((group) => /^[123] /.test(group.title))
  const left = Math.min(...groups.map((group) => group.pos[0])) - 10
  const top = Math.min(...groups.map((group) => group.pos[1])) - 10
  const right = Math.max(...groups.map((group) => group.pos[0] + group.size[0])) + 10
  const { ds, canvas } = app.canvas
  const [bar, tabs] = [62, 100]
  ds.scale = (canvas.clientWidth - bar) / (right - left)
  ds.offset = [-left + bar / ds.scale, -top + tabs / ds.scale]
  app.canvas.setDirty(true, true)
}"""


def main() -> None:
    """One PNG."""
    settings = {"VueNodes__Enabled": True, "LinkRenderMode": STRAIGHT}
    settings |= {"Minimap__Visible": False, "Graph__CanvasInfo": False}
    with serving_world() as server, browser() as chromium, page(chromium, server, **settings) as opened:
        load(opened, graph(HostNodes(server.object_info()), PAIR, LEAN, STEPS))
        run(opened)
        opened.evaluate(FRAME)
        opened.wait_for_timeout(6000)
        shot = opened.screenshot(clip={"x": 0, "y": TABS, "width": 1500, "height": HIGH - TABS})
    save(Image.open(io.BytesIO(shot)).convert("RGB"), PICTURE, LARGE)


if __name__ == "__main__":
    main()
