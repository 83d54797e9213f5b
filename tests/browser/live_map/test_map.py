"""The live map on K-LoRA Fuse, in both of the page's node renderers."""

from __future__ import annotations

from tests.support.browser.documents import recorded
from tests.support.browser.live_page import (
    FUSE,
    STEPS,
    STEPS_NODE,
    draws,
    frames,
    fresh,
    load,
    run,
    shot,
    show,
    workflow,
)
from tests.support.browser.undo import CHANGED

HINT = "klora.root().querySelector('.klora-hint').textContent"
STATUS = "klora.root().querySelector('.klora-status').innerText"
LABEL = "klora.root().querySelector('canvas').getAttribute('aria-label')"


def test_map_appears_with_the_first_run(ran):
    height = ran.evaluate("klora.fuse().size[1]")
    assert ran.evaluate("klora.root().offsetHeight") >= 340
    assert height > 600
    assert ran.evaluate(HINT) == ""
    assert f"{STEPS} steps" in ran.evaluate(STATUS)
    assert ran.evaluate("klora.root().dataset.columns") in ("run", "steps")
    assert ran.evaluate("'klora_map' in klora.fuse().serialize().widgets_values_named") is False
    shot(ran, "after-run")


def test_moving_balance_redraws_without_queueing(ran):
    queued = []
    ran.on("request", lambda request: queued.append(request.url) if request.method == "POST" else None)
    share = ran.evaluate("klora.root().querySelector('.klora-share').innerText")
    before = draws(ran)
    ran.evaluate("for (const value of [0.2, 0.4, 0.6]) klora.turn('balance', value)")
    frames(ran)
    assert draws(ran) == before + 1, "changes within a frame are drawn once"
    assert ran.evaluate(HINT) == "not yet run"
    assert ran.evaluate("klora.root().querySelector('.klora-share').innerText") != share
    shot(ran, "preview")
    ran.evaluate("klora.turn('balance', 0)")
    frames(ran)
    assert ran.evaluate(HINT) == ""
    assert not [url for url in queued if url.endswith("/prompt")]


def test_the_real_slider_moves_the_map(ran):
    if ran.renderer == "vue":
        ran.locator(f'[data-node-id="{FUSE}"] [role=slider]').first.focus()
        for _ in range(4):
            ran.keyboard.press("ArrowRight")
    else:
        x, y = ran.evaluate(
            """() => {
              const node = klora.fuse(), widget = klora.widget('balance'), { ds, canvas } = app.canvas
              const box = canvas.getBoundingClientRect()
              const at = (i, offset) => (node.pos[i] + offset + ds.offset[i]) * ds.scale
              return [box.left + at(0, node.size[0] * 0.8), box.top + at(1, widget.y + 10)]
            }"""
        )
        ran.mouse.click(x, y)
    frames(ran)
    assert ran.evaluate("klora.widget('balance').value") > 0.1
    assert ran.evaluate(HINT) == "not yet run"


def test_schedule_brings_its_own_widgets(ran):
    ran.evaluate("klora.turn('schedule', 's*')")
    frames(ran)
    assert " · S* = (1.5 x + 1.3) mod 1.5 · " in ran.evaluate(STATUS)
    before = draws(ran)
    ran.evaluate("klora.turn('schedule.beta', 0.9)")
    frames(ran)
    assert draws(ran) == before + 1
    assert " · S* = (1.5 x + 0.9) mod 1.5 · " in ran.evaluate(STATUS)
    ran.evaluate("klora.turn('gamma', 'none')")
    frames(ran)
    assert "gamma 1 (none)" in ran.evaluate(STATUS)
    shot(ran, "s-star")


def test_steps_follow_the_sampler(ran):
    ran.evaluate(
        f"(id) => {{ app.rootGraph.getNodeById(id).widgets[0].value = 11; {CHANGED} }}",
        STEPS_NODE,
    )
    frames(ran)
    assert "11 steps" in ran.evaluate(STATUS)


def test_current_step_is_marked_while_sampling(opened):
    load(opened, fresh(STEPS))
    run(opened)
    opened.wait_for_function("klora.root()?.dataset.draws > 0")
    # Enough steps, and long ones, that a busy machine has some left when the page knows whose prompt it is.
    opened.evaluate(
        """(steps) => {
          app.rootGraph.getNodeById(steps).widgets[0].value = 30
          const size = app.rootGraph.nodes.find((node) => node.type === 'EmptyLatentImage').widgets
          size[0].value = size[1].value = 64
          window.marks = []
          new MutationObserver(() => marks.push(klora.root().dataset.column ?? null))
            .observe(klora.root(), { attributes: true, attributeFilter: ['data-column'] })
          const seed = app.rootGraph.nodes.find((node) => node.type === 'KSampler').widgets[0]
          seed.value = seed.value + 1
        }""",
        STEPS_NODE,
    )
    run(opened)
    frames(opened)
    marks = opened.evaluate("marks")
    steps = [int(mark) for mark in marks if mark is not None]
    assert marks[-1] is None
    assert len(set(steps)) >= 10
    assert steps == sorted(steps)
    assert set(steps) <= set(range(1, 31))


def test_only_the_sampler_of_this_nodes_model_is_marked(ran):
    tell = """async ([kind, detail]) => {
      const { api } = await import('/scripts/api.js')
      api.dispatchEvent(new CustomEvent(kind, { detail }))
    }"""
    column = "klora.root().dataset.column ?? null"

    def at(**states):
        nodes = {key[1:]: {"state": state, "value": 2, "max": STEPS} for key, state in states.items()}
        ran.evaluate(tell, ["progress_state", {"prompt_id": "none", "nodes": nodes}])
        return ran.evaluate(column)

    ran.evaluate(tell, ["execution_start", {"prompt_id": "none"}])
    assert at(_9="running") is None, "no run of this node's model has been told in this prompt"
    xs = [(step + 0.5) / STEPS for step in range(STEPS)]
    ran.evaluate(tell, ["klora.run", {"node": str(FUSE), "mode": "steps", "x": xs, "sampler": "9"}])
    # The page asks the server first whose prompt that is.
    for _ in range(50):
        if at(_9="running") is not None:
            break
        ran.wait_for_timeout(100)
    assert at(_9="running") == "3"
    assert at(_9="finished", _12="running") is None


def test_keyboard_walks_and_folds(ran):
    ran.focus(".klora-map button")
    ran.keyboard.press("Tab")
    assert ran.evaluate("document.activeElement.tagName") == "CANVAS"
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        ran.keyboard.press(key)
    name = ran.slots[1].split(".", 2)[2]
    label = ran.evaluate(LABEL)
    assert label.startswith("Selection map. down 1 · ")
    assert name in label
    assert "rho" in label
    assert "throughout" in label or "from step" in label
    assert ran.evaluate("app.rootGraph.nodes.length") == len(workflow()["nodes"])
    ran.keyboard.press("Enter")
    assert ran.evaluate("klora.root().querySelector('button').ariaExpanded") == "false"
    assert ran.evaluate("document.activeElement.tagName") == "BUTTON"
    ran.keyboard.press(" ")
    assert ran.evaluate("klora.root().querySelector('button').ariaExpanded") == "true"


def test_hover_names_the_slot_and_when_it_switches(ran):
    box = ran.locator(".klora-map canvas").bounding_box()
    said = set()
    before = draws(ran)
    for part in range(8, 60, 2):
        ran.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * part / 100)
        frames(ran, 1)
        said.add(ran.evaluate("klora.root().querySelector('.klora-when').textContent"))
    assert any("style from step" in line for line in said)
    assert any("throughout" in line for line in said)
    assert draws(ran) == before, "pointing draws the cursor, not the map"
    shot(ran, "hover")


def test_wheel_and_middle_button_reach_the_canvas(ran):
    box = ran.locator(".klora-map canvas").bounding_box()
    x, y = box["x"] + 80, box["y"] + 80
    ran.mouse.move(x, y)
    zoom = ran.evaluate("app.canvas.ds.scale")
    ran.mouse.wheel(0, -200)
    ran.wait_for_function(f"app.canvas.ds.scale > {zoom}")
    offset = ran.evaluate("[...app.canvas.ds.offset]")
    ran.mouse.down(button="middle")
    ran.mouse.move(x + 60, y + 20, steps=3)
    ran.mouse.up(button="middle")
    frames(ran)
    assert ran.evaluate("[...app.canvas.ds.offset]") != offset


def test_layers_that_did_not_run_are_named_until_another_run_begins(ran):
    tell = """async ([kind, detail]) => {
      const { api } = await import('/scripts/api.js')
      const whose = { node: String(klora.fuse().id), prompt: 'none' }
      api.dispatchEvent(new CustomEvent(kind, { detail: { ...whose, ...detail } }))
    }"""
    line = "klora.root().querySelector('.klora-warning').textContent"
    layers = ["layers.0.feed_forward.w1", "layers.0.feed_forward.w2"]
    begins = ["klora.run", {"mode": "steps", "x": [0.25, 0.75]}]
    missing = ["klora.unseen", {"layers": layers, "of": 30, "whole": False}]
    ran.evaluate(tell, begins)
    ran.evaluate(tell, missing)
    ran.wait_for_function(f"{line} !== ''")
    said = ran.evaluate(line)
    assert said.startswith("2 of 30 changed layers did not run in the first evaluation")
    assert said.endswith(", ".join(layers))
    ran.evaluate(tell, begins)
    ran.wait_for_function(f"{line} === ''")
    ran.evaluate(tell, missing)
    ran.wait_for_function(f"{line} !== ''")
    # They ran later.
    ran.evaluate(tell, ["klora.unseen", {"layers": [], "of": 30, "whole": True}])
    ran.wait_for_function(f"{line} === ''")


def test_a_warning_is_said_on_the_node(ran):
    line = "klora.root().querySelector('.klora-warning')"
    assert ran.evaluate(f"{line}.offsetHeight") == 0
    said = ["subject: 8 text-encoder layers, NOT applied: connect clip to apply them.", "one LoRA twice"]
    plan = recorded(lambda slot, column, number: slot % 2)
    show(ran, {**plan, "page": {**plan["page"], "said": said}})
    frames(ran)
    assert ran.evaluate(f"{line}.textContent") == f"{said[0]} (+1)"
    height = ran.evaluate(f"{line}.offsetHeight")
    assert height > 10
    ran.evaluate(f"{line}.click()")
    assert ran.evaluate(f"{line}.textContent") == "\n".join(said)
    assert ran.evaluate(f"{line}.offsetHeight") > 1.5 * height
    shot(ran, "warning")
    ran.evaluate("klora.root().querySelector('button').click()")
    frames(ran)
    assert ran.evaluate(HINT) == "warning inside"
    ran.evaluate("klora.root().querySelector('button').click()")
    frames(ran)
    assert ran.evaluate(HINT) == ""
