"""Each template as a person runs it: found in the browser of templates, files chosen, Run, a picture."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.browser import clicks
from tests.support.browser.live_page import SHOTS
from tools.workflows.shipped import SHIPPED

STEPS = 4


@pytest.mark.parametrize("name", SHIPPED)
def test_runs_by_clicks(opened, name):
    clicks.open_template(opened, SHIPPED[name].title)
    family = family_of(opened)
    for node, widget, words in opened.evaluate(clicks.UNMET):
        clicks.choose(opened, node, widget, tiny_lora(words, family))
    assert opened.evaluate(clicks.UNMET) == []
    opened.evaluate(clicks.SMALL, STEPS)
    clicks.press_run(opened)
    clicks.see_pictures(opened)
    assert opened.evaluate("document.querySelectorAll('.p-toast-message-error').length") == 0
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=SHOTS / f"clicked-{name}-{opened.renderer}.png")


def family_of(opened: Any) -> str:
    """Of the template's base model, by the name of its file."""
    files = opened.evaluate(
        "app.rootGraph.nodes.flatMap((node) => node.widgets ?? [])"
        ".filter(({ name }) => ['ckpt_name', 'unet_name'].includes(name)).map(({ value }) => value)"
    )
    known = {
        "small": "toy",
        "v1-5": "sd15",
        "sd_xl": "sdxl",
        "flux": "flux",
        "z_image": "zimage",
        "wan": "wan",
    }
    return next(family for start, family in known.items() if files[0].startswith(start))


def tiny_lora(words: str, family: str) -> str:
    """The tiny LoRA for what a template says in a file's place: "your second style LoRA"."""
    role = "subject" if "subject" in words else "style"
    second = "2" if "second" in words or "low noise" in words else ""
    return f"tiny-{role}{second}-{family}.safetensors"
