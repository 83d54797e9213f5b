"""Photographs the README's picture: the real page, the SD1.5 workflow after a run on a tiny model, map open.

`python -m tests.browser.hero` rewrites assets/hero.png.
"""

from __future__ import annotations

from tests.browser.live_page import browser, load, page, run, workflow
from tools.host import REPO
from tools.server import serving

PICTURE = REPO / "assets" / "hero.png"
# The groups with the loaders, Fuse and the prompts, in the graph's units.
FRAME = """() => {
  const groups = app.rootGraph.groups.filter((group) => /^[123] /.test(group.title))
  const left = Math.min(...groups.map((group) => group.pos[0])) - 20
  const top = Math.min(...groups.map((group) => group.pos[1])) - 20
  const right = Math.max(...groups.map((group) => group.pos[0] + group.size[0])) + 20
  const { ds, canvas } = app.canvas
  const [bar, tabs] = [66, 90]
  ds.scale = (canvas.clientWidth - bar) / (right - left)
  ds.offset = [-left + bar / ds.scale, -top + tabs / ds.scale]
  app.canvas.setDirty(true, true)
}"""


def main() -> None:
    """One PNG."""
    settings = {"VueNodes__Enabled": True, "Minimap__Visible": False, "Graph__CanvasInfo": False}
    with serving("sd15") as server, browser() as chromium, page(chromium, server, **settings) as opened:
        load(opened, workflow(steps=20))
        run(opened)
        opened.evaluate(FRAME)
        opened.wait_for_timeout(6000)
        opened.screenshot(path=PICTURE, clip={"x": 0, "y": 0, "width": 1500, "height": 920})
    print(PICTURE)


if __name__ == "__main__":
    main()
