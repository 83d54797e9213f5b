"""What the map shows is what the document and the run say, cell by cell; and one drawing a frame suffices."""

from __future__ import annotations

from typing import Any

import pytest

from klora_core.methods.klora.choice import rho
from klora_core.methods.klora.schedule import Schedule
from klora_core.progress import Columns, Moment, in_steps, over_progress
from tests.core.page.test_maths import made_up, sent
from tests.support.browser.documents import CANDIDATES, recorded
from tests.support.browser.live_page import frames, fresh, load, nothing_drawn, run, show, workflow

STATUS = "klora.root().querySelector('.klora-status').innerText"
COLUMNS = "klora.root().dataset.columns"
CELLS = "([slots, count]) => klora.cells(slots, count)"


def shown(opened: Any, plan: dict[str, Any], count: int) -> list[list[str]]:
    """The colours on the canvas; waits until nothing moves any more."""
    before = None
    while before != (before := opened.evaluate("klora.root().dataset.draws")):
        opened.wait_for_timeout(250)
    return opened.evaluate(CELLS, [plan["slots"], count])


def painted(plan: dict[str, Any], over: Columns) -> list[list[str]]:
    """The colours that klora_core's decisions ask for."""
    colours = [candidate["dark"] for candidate in plan["candidates"]]
    scales = [Schedule(**plan["schedule"]).scale(moment.x) for moment in over.moments]
    ratios = [rho(s["score_subject"], s["score_style"], plan["gamma"]["value"]) for s in plan["slots"]]
    return [[colours[0 if ratio >= scale else 1] for scale in scales] for ratio in ratios]


def as_columns(xs: list[float]) -> Columns:
    return Columns(tuple(Moment(x, i, len(xs)) for i, x in enumerate(xs)))


@pytest.mark.parametrize(
    ("denoise", "mode", "columns"), [(1.0, "steps", 6), (0.6, "noise level", 6)], ids=["whole", "img2img"]
)
def test_the_map_of_a_run_shows_its_own_columns(opened, denoise, mode, columns):
    graph = fresh(columns)
    for node in graph["nodes"]:
        if node["type"] == "KSampler":
            node["widgets_values"][-1] = denoise
    load(opened, graph)
    opened.evaluate("klora.runs.length = 0")
    run(opened)
    opened.wait_for_function("klora.root()?.dataset.columns === 'run'")
    (told,) = opened.evaluate("klora.runs")
    plan = opened.evaluate("klora.plan()")
    assert told["mode"] == mode
    assert len(told["x"]) == columns
    assert shown(opened, plan, columns) == painted(plan, as_columns(told["x"]))
    said = opened.evaluate(STATUS)
    assert f"the {columns} steps of the last run" in said
    assert ("by noise level" in said) == (mode == "noise level")
    # Another denoise is another run: nothing is known of it yet.
    sampler = "app.rootGraph.nodes.find((node) => node.type === 'KSampler')"
    opened.evaluate(f"{sampler}.widgets.find((widget) => widget.name === 'denoise').value = 0.5")
    opened.evaluate("klora.turn('balance', 0)")
    opened.wait_for_function("klora.root().dataset.columns === 'progress'")
    assert shown(opened, plan, 30) == painted(plan, over_progress(30))
    assert "over progress x" in opened.evaluate(STATUS)


def test_two_parts_of_a_run_are_drawn_as_one(opened):
    load(opened, workflow(6))
    plan = sent(made_up(60))
    show(opened, plan)
    tell = """async ([mode, parts]) => {
      const { api } = await import('/scripts/api.js')
      api.dispatchEvent(new CustomEvent('execution_start', { detail: { prompt_id: 'none' } }))
      for (const x of parts) {
        const detail = { node: String(klora.fuse().id), mode, x }
        api.dispatchEvent(new CustomEvent('klora.run', { detail }))
      }
    }"""
    parts = [[0.05, 0.2, 0.31], [0.48, 0.77]]
    opened.evaluate(tell, ["noise level", parts])
    opened.wait_for_function("klora.root().dataset.columns === 'run'")
    assert shown(opened, plan, 5) == painted(plan, as_columns(sum(parts, [])))
    opened.evaluate(tell, ["steps", [[0.25, 0.75]]])
    frames(opened)
    assert shown(opened, plan, 2) == painted(plan, in_steps(2))


@pytest.mark.parametrize("steps", [30, 12], ids=["as recorded", "other steps"])
def test_an_unknown_method_draws_as_its_document_records_it(opened, steps):
    load(opened, workflow(steps))
    plan = recorded(lambda slot, column, each: slot % 2)
    show(opened, plan)
    colours = [candidate["dark"] for candidate in CANDIDATES]
    assert shown(opened, plan, 30) == [[colours[slot % 2]] * 30 for slot in range(len(plan["slots"]))]
    assert opened.evaluate(COLUMNS) == ("steps" if steps == 30 else "progress")
    assert opened.evaluate(STATUS).startswith("In turn")
    opened.evaluate("klora.turn('balance', 0.5)")
    opened.wait_for_function(
        "klora.root().querySelector('.klora-hint').textContent === 'changed, not yet run'"
    )


def test_three_candidates_in_two_passes_draw_in_stripes(opened):
    load(opened, workflow(30))
    plan = recorded(lambda slot, column, each: [column % 3, 2][each], candidates=3, passes=2)
    show(opened, plan)
    colours = [candidate["dark"] for candidate in CANDIDATES]
    assert opened.evaluate("klora.root().querySelector('.klora-share').innerText").startswith("17 % subject")
    found = shown(opened, plan, 30)
    for column in range(30):
        seen = {row[column] for row in found}
        # Stripes run across the rows: the middles of cells hit both passes.
        assert seen == {colours[column % 3], colours[2]}, column


def test_documents_of_older_versions_draw_no_map(opened):
    load(opened, fresh(6))
    nothing_drawn(opened)
    old = {key: value for key, value in sent(made_up(40)).items() if key not in ("method", "page", "gammas")}
    opened.evaluate("(document) => klora.show(document)", old)
    opened.wait_for_timeout(500)
    nothing_drawn(opened)
    show(opened, sent(made_up(40)))


def test_large_plan_is_drawn_once_a_frame_and_not_by_pointing(opened):
    opened.evaluate(
        """async (plan) => {
          const [{ MapView }, { klora }, { stepColumns }, { wordsFor }] = await Promise.all(
            ['view/view', 'methods/klora', 'decision/columns', 'view/words']
              .map((name) => import(`/extensions/k-lora/js/${name}.js`)))
          window.view = new MapView({ words: wordsFor('en'), open: true, onFold: (open, change) => change() })
          Object.assign(view.element.style, { position: 'fixed', inset: '60px auto auto 60px', zIndex: 9999,
            width: '420px', height: '520px' })
          document.body.append(view.element)
          window.turn = (balance) => {
            const settings = { schedule: { ...plan.schedule, balance }, gammaMode: 'paper' }
            view.show({ plan, decision: klora.decide(plan, settings, stepColumns(30)), hint: null })
          }
          turn(0)
        }""",
        sent(made_up(1500)),
    )
    frames(opened)
    before = int(opened.evaluate("view.element.dataset.draws"))
    opened.evaluate("for (let i = 0; i < 40; i++) turn(i / 40)")
    frames(opened)
    assert int(opened.evaluate("view.element.dataset.draws")) == before + 1
    box = opened.locator("canvas", has=None).last.bounding_box()
    opened.mouse.move(box["x"] + 100, box["y"] + 100)
    opened.mouse.move(box["x"] + 200, box["y"] + 250, steps=20)
    opened.evaluate("view.mark(4)")
    frames(opened)
    assert int(opened.evaluate("view.element.dataset.draws")) == before + 1
    opened.evaluate("view.destroy(); view.element.remove()")


COMPOSE = """(method) => {
  const graph = app.rootGraph
  const make = (type) => {
    const node = LiteGraph.createNode(type)
    graph.add(node)
    return node
  }
  const wire = (from, output, to, input) =>
    from.connect(from.findOutputSlot(output), to, to.inputs.findIndex((one) => one.name === input))
  const find = (type) => graph.nodes.find((node) => node.type === type)
  const [checkpoint, pair] = [find('CheckpointLoaderSimple'), find('KLoRALoadPair')]
  graph.remove(find('KLoRAFuse'))
  const [one, two, compose] = [make('KLoRASet'), make('KLoRASet'), make('KLoRACompose')]
  wire(pair, 'subject', one, 'lora')
  wire(pair, 'style', two, 'lora')
  wire(one, 'set', two, 'set')
  wire(two, 'set', compose, 'set')
  one.widgets.find((widget) => widget.name === 'role').value = 'subject'
  two.widgets.find((widget) => widget.name === 'role').value = 'style'
  wire(checkpoint, 'MODEL', compose, 'model')
  wire(checkpoint, 'CLIP', compose, 'clip')
  klora.turn('method', method)
  for (const node of graph.nodes.filter((each) => each.type === 'CLIPTextEncode')) {
    wire(compose, 'clip', node, 'clip')
  }
  wire(compose, 'model', find('KSampler'), 'model')
  wire(compose, 'plan', find('KLoRASelectionMap'), 'plan')
  wire(compose, 'report', find('PreviewAny'), 'source')
}"""

OWN_WIDGETS = """() => app.rootGraph.nodes.find((node) => node.type === 'KLoRACompose').widgets
  .filter((widget) => widget.name.startsWith('method.')).map((widget) => widget.name.slice(7))"""
INPUTS = (
    """() => app.rootGraph.nodes.find((node) => node.type === 'KLoRACompose').inputs.map((one) => one.name)"""
)


@pytest.mark.parametrize("method", ["LoRA Switch", "K-LoRA"])
def test_other_methods_and_nodes_get_their_map_too(opened, method):
    steps = 6 if method == "K-LoRA" else 12
    load(opened, fresh(steps))
    opened.evaluate(COMPOSE, method)
    run(opened)
    opened.wait_for_function("klora.root()?.dataset.draws > 0")
    plan = opened.evaluate("klora.plan()")
    assert plan["method"]["name"] == method
    colours = {candidate["letter"]: candidate["dark"] for candidate in plan["candidates"]}
    if method == "K-LoRA":
        # Its dials belong to the choice of a method here, and the map follows them all the same.
        opened.evaluate("klora.turn('method.balance', 0.4)")
        frames(opened)
        (told,) = opened.evaluate("klora.runs.slice(-1)")
        turned = {**plan, "schedule": {**plan["schedule"], "balance": 0.4}}
        assert shown(opened, plan, 6) == painted(turned, as_columns(told["x"]))
    else:
        # Five steps a turn, the first one longer; both LoRAs change every layer. The document has no choices.
        assert all("choice" not in slot and len(slot["loras"]) == 2 for slot in plan["slots"])
        turns = [colours[letter] for letter in "cccccc" + "sssss" + "c"]
        assert shown(opened, plan, steps) == [turns] * len(plan["slots"])


def test_what_the_gates_of_a_run_gave_is_mixed_into_its_cells(opened):
    load(opened, fresh(5))
    opened.evaluate(COMPOSE, "Arrow")
    assert {"top", "pool", "sum"} <= set(opened.evaluate(OWN_WIDGETS))
    run(opened)
    opened.wait_for_function("klora.root()?.dataset.draws > 0")
    plan = opened.evaluate("klora.plan()")
    undecided = plan["candidates"][-1]
    assert undecided["label"] == "decided by the picture"
    found = {colour for row in shown(opened, plan, 5) for colour in row}
    assert undecided["dark"] not in found and len(found) > 5, "every layer has mixtures of its own"
    assert "the 5 steps of the last run" in opened.evaluate(STATUS)
    # A gate is wired into the method that has one.
    opened.evaluate("klora.turn('method', 'MoLE')")
    frames(opened)
    assert "gate" in [name.rpartition(".")[2] for name in opened.evaluate(INPUTS)]


def test_a_setting_that_the_map_cannot_follow_says_so(opened):
    load(opened, workflow(6))
    show(opened, sent(made_up(40)))
    opened.evaluate("klora.turn('layers', 'attention')")
    opened.wait_for_function(
        "klora.root().querySelector('.klora-hint').textContent === 'changed, not yet run'"
    )
    opened.evaluate("klora.turn('layers', 'shared')")
    opened.wait_for_function("klora.root().querySelector('.klora-hint').textContent === ''")
