"""Two whole rounds of Pick and Learn in the page: picked, undone, read again, learned and taken."""

from __future__ import annotations

import re

from tests.support.browser.live_page import frames, queue, renewed, run
from tests.support.browser.sheets import LABELS, LOOK, NODE, PICKS, STATUS, TITLE, opened_in, shot
from tests.support.browser.undo import reload, step_by_keys


def press_and_wait(page, button):
    queue(page, page.locator(button).click, 300)
    page.wait_for_timeout(500)


def step(page, keys):
    """Undo or redo, as a person does it."""
    step_by_keys(page, keys, NODE)
    # As long as the page needs, however busy the machine is.
    frames(page, 60)


def test_pick_learn_undo_reload_pick_again_and_take(window, server):
    page = window
    with renewed(page):
        opened_in(page)
        page.locator(".klora-sheet .klora-place").wait_for()
        assert page.evaluate(LABELS) == []
        run(page)
        page.wait_for_function(f"{LABELS}.length === 2")
        assert page.evaluate(LABELS) == ["picture 1", "picture 2"]
        page.wait_for_function(
            "[...document.querySelectorAll('.klora-cell img')].every((image) => image.naturalWidth === 64)"
        )
        assert "sum" not in page.evaluate("document.querySelector('.klora-grid').outerHTML"), (
            "nobody picks by name"
        )

        page.locator(".klora-cell").nth(0).click()
        page.wait_for_function(f"/^picture 1, picked, by sum /.test({LABELS}[0])")
        page.keyboard.press("2")
        page.wait_for_function(f"/^picture 2, picked, by sum /.test({LABELS}[1])")
        both = page.evaluate(PICKS)
        assert len(both.splitlines()) == 2 and all(
            re.fullmatch(r"1, sum \S+, \d+, \d", line) for line in both.splitlines()
        )
        step(page, "Control+z")
        assert page.evaluate(PICKS) == both.splitlines()[0] and page.evaluate(LABELS)[1] == "picture 2"
        # The keyboard stays.
        page.wait_for_function("document.activeElement.classList.contains('klora-cell')")
        step(page, "Control+y")
        assert page.evaluate(PICKS) == both
        shot(page, "one")

        press_and_wait(page, ".klora-more")
        assert page.evaluate(TITLE) == "Round 2: learned from 2 pictures, beside the best rule"
        assert page.evaluate(LABELS) == [f"picture {i}" for i in range(1, 5)]
        assert page.evaluate(
            "[...document.querySelectorAll('.klora-group')].map((g) => g.children.length)"
        ) == [2, 2]
        page.locator(".klora-cell").nth(0).focus()
        page.keyboard.press("Space")
        page.wait_for_function(f"{PICKS}.split('\\n').length === 4")
        step(page, "Control+z")
        step(page, "Control+z")
        assert page.evaluate(TITLE).startswith("Round 1") and page.evaluate(STATUS) == "2 picked"
        assert all(", picked, by sum " in label for label in page.evaluate(LABELS))
        step(page, "Control+y")
        assert page.evaluate(PICKS) == f"{both}\nmore" and page.evaluate(TITLE).startswith("Round 2")

        reload(page, server)
        page.wait_for_function(f"{NODE} && {LABELS}.length === 4")
        assert page.evaluate(TITLE).startswith("Round 2: learned from 2 pictures")
        page.evaluate(LOOK)
        page.wait_for_timeout(600)
        page.locator(".klora-cell").nth(3).click()
        page.wait_for_function(f"{PICKS}.split('\\n').length === 4")
        shot(page, "two")

        press_and_wait(page, ".klora-take")
        assert page.evaluate(TITLE).startswith("Taken: ") and page.evaluate(PICKS).endswith("\ntake")
        assert len(page.evaluate(LABELS)) == 3 and page.locator(".klora-take").is_disabled()
        save = "app.rootGraph.nodes.find((node) => node.type === 'SaveImage').id"
        assert page.evaluate(f"app.nodeOutputs[{save}].images.length") == 1, "by the LoRA that was taken"
        shot(page, "taken")

        page.locator(".klora-over").click()
        page.wait_for_function(f"{PICKS} === '' && {TITLE}.startsWith('Round 1')")
        assert page.evaluate(LABELS) == ["picture 1", "picture 2"]
