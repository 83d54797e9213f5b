"""The sheet of Pick and Learn in the page, by mouse and keys, and what it says of runs and wires."""

from __future__ import annotations

import contextlib

import pytest

from tests.support.browser.live_page import renewed
from tests.support.browser.sheets import LABELS, NODE, PICKS, STATUS, TITLE, document, opened_in, send, shot

ARRIVE = f"""async (pictures) => {{
  const {{ api }} = await import('/scripts/api.js')
  pictures.forEach((picture, at) => {{
    const [round, of] = [picture.round, 8]
    const detail = {{ node: String({NODE}.id), prompt: 'none', round, of, done: at + 1, picture }}
    api.dispatchEvent(new CustomEvent('klora.picks', {{ detail }}))
  }})
}}"""

SWITCH = "app.extensionManager.command.execute('Comfy.ToggleLinear')"
LATE = "document.querySelector('.klora-cell img').dispatchEvent(new Event('error'))"
"""Of the picture that the cell had before."""


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


def test_a_picture_on_its_way_is_not_gone_for_the_one_before(sheet):
    held = []
    sheet.route("**/view?*slow*", lambda route: held.append(route))
    told = document(1)
    told["pictures"][0]["image"]["filename"] = "slow.png"
    send(sheet, told)
    sheet.wait_for_timeout(300)
    sheet.evaluate(LATE)
    assert len(held) == 1 and "not kept" not in sheet.evaluate(LABELS)[0]
    held[0].abort()
    sheet.wait_for_function(f"{LABELS}[0].endsWith('not kept: Run again')")
    sheet.unroute("**/view?*slow*")


def test_pictures_come_one_by_one_and_a_run_that_stops_says_so(sheet):
    pictures = document(8)["pictures"]
    sheet.evaluate(ARRIVE, [{**pictures[at], "seed": at, "line": f"1, new, {at}, {at + 1}"} for at in (5, 2)])
    # None of the server's runs: stopped from the first frame on, and both pictures are there.
    sheet.wait_for_function(f"{STATUS} === 'stopped at 2 of 8, Run goes on'")
    sheet.evaluate(LATE)
    labels = sheet.evaluate(LABELS)
    assert labels[0] == "picture 1, not made yet"
    assert [label.endswith("not made yet") for label in labels] == [at not in (5, 2) for at in range(8)]


def test_a_picture_that_is_heard_of_after_its_sheet_changes_nothing(sheet):
    told = document()
    sheet.evaluate(
        f"""async (told) => {{
          await ({ARRIVE})(told.pictures)
          {NODE}.onExecuted({{ klora_picks: [told] }})
        }}""",
        told,
    )
    sheet.wait_for_timeout(1000)
    assert sheet.evaluate(STATUS) == "" and len(sheet.evaluate(LABELS)) == 6


def test_a_round_that_was_undone_while_it_was_made_is_not_shown_as_another(sheet):
    second = document(4, round=2, shown=["learned 2", "sum 0.1"])
    for picture in second["pictures"]:
        picture |= {"round": 2, "line": f"2, learned 2, {picture['seed']}, {picture['place']}"}
    sheet.evaluate(f"(told) => {NODE}.onExecuted({{ klora_picks: [told] }})", second)
    sheet.wait_for_timeout(500)
    assert sheet.evaluate(TITLE).startswith("Round 1") and len(sheet.evaluate(LABELS)) == 6
    sheet.locator(".klora-cell").nth(0).click()
    sheet.wait_for_function(f"{PICKS} === '1, sum 0.1, 1, 1'")
    sheet.evaluate(f"{NODE}.widgets.find((widget) => widget.name === 'picks').value += '\\nmore'")
    send(sheet, second)
    assert sheet.evaluate(TITLE) == "Round 2: learned from 1 picture, beside the best rule"


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
    # By force: the page says of them that they can't be pressed.
    sheet.locator(".klora-cell").nth(0).click(force=True)
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


def test_app_mode_shows_the_sheet_and_what_is_picked_there_stays(sheet):
    sheet.evaluate(SWITCH)
    sheet.get_by_text("subject_lora", exact=True).locator("visible=true").first.wait_for()
    # The page greets who is there for the first time, on a slow machine late.
    with contextlib.suppress(Exception):
        sheet.get_by_text("Skip", exact=True).click(timeout=10_000)
    sheet.locator(".klora-cell").nth(0).click()
    sheet.wait_for_function(f"{PICKS} === '1, sum 0.1, 1, 1'")
    assert sheet.locator(".klora-sheet").count() == 1 and sheet.locator(".klora-more").is_enabled()
    shot(sheet, "app")
    sheet.evaluate(SWITCH)
    sheet.wait_for_timeout(1500)
    assert sheet.evaluate(LABELS)[0].startswith("picture 1, picked")
    sheet.locator(".klora-cell").nth(1).click()
    sheet.wait_for_function(f"{PICKS} === '1, sum 0.1, 1, 1\\n1, sum 0.2, 2, 2'")
