"""Photographs the README's picture: the real page after a run on the small world, map open.

`python -m tests.browser.hero` rewrites assets/hero.png: a subject and a style, each alone, added, and fused by
K-LoRA at the settings that the node shows.
"""

from __future__ import annotations

import io
import sys

from PIL import Image

from tests.browser.live_page import browser, load, page, run
from tools.host import REPO
from tools.pictures.cast import Cast, serving_world
from tools.pictures.hero_graph import graph
from tools.workflows.host_nodes import HostNodes

PICTURE = REPO / "assets" / "hero.png"
CAST = Cast("rocket", ("mosaic",))
DIALS = {"schedule": "s*", "balance": 0}
STEPS = 20
MOST = 400_000
"""Bytes of the picture."""
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


def main(vue: bool) -> None:
    """One PNG."""
    settings = {"VueNodes__Enabled": vue, "Minimap__Visible": False, "Graph__CanvasInfo": False}
    with serving_world() as server, browser() as chromium, page(chromium, server, **settings) as opened:
        load(opened, graph(HostNodes(server.object_info()), CAST, DIALS, STEPS))
        run(opened)
        opened.evaluate(FRAME)
        opened.wait_for_timeout(6000)
        shot = opened.screenshot(clip={"x": 0, "y": 0, "width": 1500, "height": 1000})
    Image.open(io.BytesIO(shot)).save(PICTURE)
    print(PICTURE, PICTURE.stat().st_size)


if __name__ == "__main__":
    main("classic" not in sys.argv)
