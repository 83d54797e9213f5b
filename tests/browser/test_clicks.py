"""A template from opening to a picture, by mouse alone, and a file dragged in; `make test-clicks`: all."""

from __future__ import annotations

from tests.browser.test_templates import WINDOWS
from tests.support.browser import clicks
from tests.support.browser.live_page import CLASSIC, SHOTS, renewed
from tools.workflows.shipped import SHIPPED, path_of

NAME = "k-lora-sd15"
CHOICES = ("tiny-sd15.safetensors", "tiny-subject-sd15.safetensors", "tiny-style-sd15.safetensors")
"""The files that the template lacks here, in the order of its nodes."""
KNOWN = "app.rootGraph.nodes.every(({ type }) => type in LiteGraph.registered_node_types)"


@CLASSIC
def test_a_template_runs_by_clicks(window):
    opened, (width, height) = window, (1500, 920)
    with renewed(opened, width, height):
        clicks.open_template(opened, SHIPPED[NAME].title)
        assert opened.evaluate("app.canvas.ds.scale") >= WINDOWS[(width, height)]
        for (node, widget, _), file in zip(opened.evaluate(clicks.UNMET), CHOICES, strict=True):
            clicks.choose(opened, node, widget, file)
        opened.evaluate(clicks.SMALL, 4)
        clicks.press_run(opened)
        clicks.see_pictures(opened)
        SHOTS.mkdir(parents=True, exist_ok=True)
        opened.screenshot(path=SHOTS / "clicked.png")

        # A file of the pack, as it is, dropped onto the page.
        other = path_of("k-lora-lora-stack")
        clicks.drop(opened, other.read_text(encoding="utf-8"), other.name)
        opened.wait_for_function("app.rootGraph.nodes.some((node) => node.type === 'KLoRASet')")
        assert opened.evaluate(KNOWN)
