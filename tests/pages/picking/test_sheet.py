"""Pick and Learn in the page, in both renderers: what is picked by mouse and keys, and all that follows."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from tests.support.browser.live_page import SHOTS, load, renewed, run, visit
from tools.workflows.shipped import path_of

NODE = "app.rootGraph.nodes.find((node) => node.type === 'KLoRAPickAndLearn')"
PICKS = f"{NODE}.widgets.find((widget) => widget.name === 'picks').value"
LABELS = "[...document.querySelectorAll('.klora-cell')].map((cell) => cell.getAttribute('aria-label'))"
TITLE = "document.querySelector('.klora-sheet .klora-title').textContent"
STATUS = "document.querySelector('.klora-sheet .klora-status').textContent"
ENDS = """async () => {
  const { api } = await import('/scripts/api.js')
  window.ended = null
  for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
    api.addEventListener(kind, ({ detail }) => (window.ended ??= [kind, detail]), { once: true })
}"""
LOOK = f"""() => {{
  const node = {NODE}
  const {{ ds, canvas }} = app.canvas
  ds.scale = 0.9
  ds.offset = [
    canvas.clientWidth / 2 / 0.9 - node.pos[0] - node.size[0] / 2,
    canvas.clientHeight / 2 / 0.9 - node.pos[1] - node.size[1] / 2,
  ]
  app.canvas.setDirty(true, true)
}}"""
SMALL = {"width": 64, "height": 64, "pictures": 1, "rules": "sum 0.7\nsum 1/0.5", "learning_steps": 2}


def template() -> dict:
    """The shipped template on tiny files, as nobody ran it yet."""
    graph = json.loads(path_of("k-lora-pick").read_text(encoding="utf-8"))
    graph["id"] = str(uuid.uuid4())
    small = {
        "CheckpointLoaderSimple": ["tiny-sd15.safetensors"],
        "KLoRALoadPair": ["tiny-subject-sd15.safetensors", "tiny-style-sd15.safetensors"],
        "EmptyLatentImage": [64, 64, 1],
        "PrimitiveInt": [2, "fixed"],
    }
    for node in graph["nodes"]:
        node.get("properties", {}).pop("models", None)
        node["widgets_values"] = small.get(node["type"], node.get("widgets_values", []))
    return graph


def opened_in(page, **more):
    load(page, template())
    page.evaluate(
        f"""(small) => {NODE}.widgets.forEach((widget) => {{
          if (widget.name in small) widget.value = small[widget.name]
        }})""",
        {**SMALL, **more},
    )
    page.wait_for_timeout(800)
    page.evaluate(LOOK)
    page.wait_for_timeout(600)


def document(count=6, **more):
    """A sheet that no server made."""
    pictures = [
        {
            "place": i, "round": 1, "rule": f"sum 0.{i}", "seed": i, "group": 0,
            "line": f"1, sum 0.{i}, {i}, {i}", "picked": False, "width": 64, "height": 64,
            "image": {"filename": f"gone{i}.png", "subfolder": "none", "type": "temp"},
        }
        for i in range(1, count + 1)
    ]  # fmt: skip
    told = {"round": 1, "shown": [], "taken": "", "of": count, "part": [1, 1], "hint": "", "best": ""}
    return {**told, "pictures": pictures, **more}


def send(page, told):
    page.evaluate(f"(told) => {NODE}.onExecuted({{ klora_picks: [told] }})", told)
    page.wait_for_function(f"document.querySelectorAll('.klora-cell').length === {len(told['pictures'])}")


def press_and_wait(page, button):
    page.evaluate(ENDS)
    page.locator(button).click()
    page.wait_for_function("window.ended", timeout=300_000)
    assert page.evaluate("ended[0]") == "execution_success", page.evaluate("ended")
    page.wait_for_timeout(500)


def step(page, keys):
    """Undo or redo, as a person does it; the page needs a moment to make the graph anew."""
    page.evaluate(f"window.before = {NODE}")
    page.keyboard.press(keys)
    page.wait_for_function(f"{NODE} && {NODE} !== window.before")
    page.wait_for_timeout(900)


def shot(page, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"pick-{name}-{page.renderer}.png")


def test_pick_learn_undo_reload_pick_again_and_take(window, server):
    page = window
    with renewed(page):
        opened_in(page)
        assert page.evaluate(LABELS) == [] and page.locator(".klora-sheet .klora-place").is_visible()
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
        if page.renderer == "vue":
            assert page.evaluate("document.activeElement.classList.contains('klora-cell')"), (
                "the keyboard stays"
            )
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
        page.wait_for_timeout(1500)

        visit(page, server)
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


@pytest.fixture
def sheet(window):
    with renewed(window):
        opened_in(window)
        send(window, document())
        yield window


def test_the_keyboard_walks_picks_and_enlarges(sheet):
    grid = sheet.locator(".klora-grid")
    assert grid.get_attribute("role") == "grid" and "arrows move" in grid.get_attribute("aria-label")
    assert sheet.locator('.klora-row[role="row"] [role="gridcell"]').count() == 6
    sheet.locator(".klora-cell").nth(0).focus()
    sheet.keyboard.press("ArrowRight")
    sheet.keyboard.press("Enter")
    sheet.wait_for_function(f"{PICKS} === '1, sum 0.2, 2, 2'")
    assert sheet.locator(".klora-cell[aria-selected=true]").count() == 1
    sheet.keyboard.press("+")
    large = sheet.locator("dialog.klora-large")
    assert large.is_visible() and large.locator("[aria-pressed=true]").count() == 1
    sheet.keyboard.press("ArrowRight")
    sheet.keyboard.press("Space")
    sheet.wait_for_function(f"{PICKS}.endsWith('\\n1, sum 0.3, 3, 3')")
    shot(sheet, "large")
    sheet.keyboard.press("Escape")
    large.wait_for(state="detached")
    assert sheet.evaluate("document.activeElement.getAttribute('aria-label')").startswith("picture 3, picked")
    sheet.keyboard.press("2")
    sheet.wait_for_function(f"{PICKS} === '1, sum 0.3, 3, 3'")
    sheet.locator(".klora-cell").nth(4).hover()
    sheet.locator(".klora-lens").nth(4).click()
    assert large.is_visible() and sheet.evaluate(PICKS) == "1, sum 0.3, 3, 3", "looking is not picking"
    sheet.keyboard.press("Escape")


def test_it_fills_the_window_and_comes_back(sheet):
    sheet.locator(".klora-fill").click()
    assert sheet.locator("dialog.klora-window .klora-cell").count() == 6
    sheet.locator(".klora-cell").nth(5).click()
    sheet.wait_for_function(f"{PICKS} === '1, sum 0.6, 6, 6'")
    shot(sheet, "window")
    sheet.keyboard.press("Escape")
    sheet.locator("dialog.klora-window").wait_for(state="detached")
    assert sheet.locator(".klora-sheet .klora-cell").count() == 6


def test_a_picture_that_is_gone_says_so_and_hints_are_shown(sheet):
    sheet.wait_for_function(f"{LABELS}.every((label) => label.endsWith('not kept: Run again'))")
    send(sheet, document(5, hint="Nothing is picked yet."))
    assert sheet.locator(".klora-sheet .klora-hint").inner_text() == "Nothing is picked yet."


def test_pictures_come_one_by_one_and_a_run_that_stops_says_so(sheet):
    # At once: a run that is none of the server's counts as stopped by the next frame.
    arrive = f"""async (pictures) => {{
      const {{ api }} = await import('/scripts/api.js')
      pictures.forEach((picture, at) => {{
        const detail = {{ node: String({NODE}.id), prompt: 'none', round: 1, of: 8, done: at + 1, picture }}
        api.dispatchEvent(new CustomEvent('klora.picks', {{ detail }}))
      }})
    }}"""
    pictures = document(8)["pictures"]
    sheet.evaluate(arrive, [{**pictures[at], "seed": 9, "line": f"1, new, 9, {at + 1}"} for at in (5, 2)])
    sheet.wait_for_function(
        f"{STATUS} === 'stopped at 1 of 8, Run goes on' || {STATUS}.startsWith('stopped at 2')"
    )
    labels = sheet.evaluate(LABELS)
    assert len(labels) == 8 and labels[0] == "picture 1, not made yet" and "not made" not in labels[5]


def test_picks_that_come_by_a_wire_are_shown_and_not_changed(sheet):
    sheet.locator(".klora-cell").nth(1).click()
    sheet.evaluate(
        f"""() => {{
          const text = LiteGraph.createNode('PrimitiveStringMultiline')
          app.rootGraph.add(text)
          text.widgets[0].value = '1, sum 0.4, 4, 4'
          text.connect(0, {NODE}, {NODE}.inputs.findIndex((input) => input.widget?.name === 'picks'))
        }}"""
    )
    sheet.wait_for_function("document.querySelector('.klora-sheet .klora-hint').textContent.includes('wire')")
    sheet.wait_for_function(f"{LABELS}.findIndex((label) => label.includes('picked')) === 3")
    assert sheet.locator(".klora-sheet .klora-buttons button:disabled").count() == 3
    sheet.locator(".klora-cell").nth(0).click()
    sheet.wait_for_timeout(300)
    assert [i for i, label in enumerate(sheet.evaluate(LABELS)) if "picked" in label] == [3]
    shot(sheet, "wired")


def test_the_text_is_folded_away_and_can_still_be_edited(sheet):
    text = f"{NODE}.widgets.find((widget) => widget.name === 'picks')"
    assert not sheet.evaluate(f"{NODE}.isWidgetVisible({text})")
    sheet.evaluate(f"{NODE}.showAdvanced = true; app.canvas.setDirty(true, true)")
    sheet.wait_for_timeout(500)
    assert sheet.evaluate(f"{NODE}.isWidgetVisible({text})")
    sheet.evaluate(f"{text}.value = '1, sum 0.5, 5, 5'")
    sheet.wait_for_function(f"{LABELS}[4].startsWith('picture 5, picked')")
    shot(sheet, "text")


def test_app_mode_opens_and_the_sheet_is_there_after_it(sheet):
    sheet.evaluate("app.extensionManager.command.execute('Comfy.ToggleLinear')")
    sheet.wait_for_timeout(1500)
    sheet.evaluate("app.extensionManager.command.execute('Comfy.ToggleLinear')")
    sheet.wait_for_timeout(1500)
    sheet.locator(".klora-cell").nth(0).click()
    sheet.wait_for_function(f"{PICKS} === '1, sum 0.1, 1, 1'")
