"""The page computes what klora_core computes, to the last slot; and one drawing per frame suffices."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from klora_core import order, palette
from klora_core.methods.klora import GAMMA_MODES, gamma, make_plan
from klora_core.plan import LETTERS, LoraInfo, ScoredSlot, from_json, with_schedule
from klora_core.schedules import make_schedule
from tests.browser.live_page import frames, fresh, load, page, run

DECIDE = """async ([plan, name, alpha, beta, balance, gammaMode, steps]) => {
  const maths = await klora.maths()
  const made = maths.decide(plan, { schedule: { name, alpha, beta, balance }, gammaMode, steps })
  const rows = plan.slots.map((_, slot) => [...made.choices.subarray(slot * steps, (slot + 1) * steps)])
  // JSON has no infinity; the shortest decimal of a double is the double.
  return { gamma: made.gamma, rho: [...made.rho].map(String), rows, shares: [...made.shares] }
}"""
SCHEDULES = [("s", 1.5, 0.5), ("s*", 1.5, 1.3), ("s", 0.0, 1.0), ("s*", 0.7, 2.05)]
BALANCES = (-1.0, -0.35, 0.0, 0.6)


@pytest.fixture(scope="module")
def opened(chromium, server):
    with page(chromium, server) as it:
        yield it
        assert it.problems == []


@pytest.fixture(scope="module")
def ran(opened):
    """What a real run sent to the page."""
    load(opened, fresh(4))
    run(opened)
    return opened.evaluate("klora.plan()")


def made_up(count: int) -> dict:
    """A plan with every rule's edge in it: zero subject, zero style, both zero, equal LoRAs."""
    rng = random.Random(7)
    slots = []
    for i in range(count):
        one, other = rng.lognormvariate(0, 0.5), rng.lognormvariate(0, 0.3)
        one, other = {0: (0.0, other), 1: (one, 0.0), 2: (0.0, 0.0), 3: (1.0, 1.0)}.get(i % 40, (one, other))
        name = f"output_blocks.{i // 100}.1.transformer_blocks.{i % 100}.attn1.to_q"
        slots.append(ScoredSlot(name, (64, 64), 8, 4, 32, one, other, 90 * one, 80 * other))
    info = LoraInfo("a.safetensors", count)
    return make_plan(slots, make_schedule("s"), subject=info, style=info).to_json(30)


def check(opened, document, name, alpha, beta, balance, mode, steps):
    plan = from_json(document)
    value = plan.gamma if mode == plan.gamma.mode else gamma(plan.slots, mode)
    plan = with_schedule(replace(plan, gamma=value), make_schedule(name, alpha, beta, balance))
    got = opened.evaluate(DECIDE, [document, name, alpha, beta, balance, mode, steps])
    assert math.isclose(got["gamma"], value.value, rel_tol=1e-12)
    rho = [float(text.replace("Infinity", "inf")) for text in got["rho"]]
    exact = got["gamma"] == value.value
    for slot, mine, theirs in zip(plan.slots, rho, plan.rho(), strict=True):
        assert mine == theirs if exact else math.isclose(mine, theirs, rel_tol=1e-12), slot.name
    assert got["rows"] == plan.choices(steps).tolist()
    assert got["shares"] == pytest.approx(plan.shares(steps).tolist(), abs=1e-15)


def test_document_of_a_run_is_reproduced_to_the_last_slot(opened, ran):
    schedule = ran["schedule"]
    got = opened.evaluate(
        DECIDE,
        [
            ran,
            schedule["name"],
            schedule["alpha"],
            schedule["beta"],
            schedule["balance"],
            "paper",
            ran["steps"],
        ],
    )
    assert len(got["rows"]) == len(ran["slots"]) == 56
    for slot, rho, row in zip(ran["slots"], got["rho"], got["rows"], strict=True):
        assert "".join(LETTERS[choice] for choice in row) == slot["choice"], slot["name"]
        assert float(rho) == slot["rho"], slot["name"]


@pytest.mark.parametrize("mode", GAMMA_MODES)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s[0]}-{s[1]}-{s[2]}")
def test_other_settings_give_what_the_core_gives(opened, ran, schedule, mode):
    for balance in BALANCES:
        for steps in (1, 7, 30):
            check(opened, ran, *schedule, balance, mode, steps)


@pytest.mark.parametrize("mode", GAMMA_MODES)
def test_zero_rules_and_ties(opened, mode):
    document = made_up(560)
    for schedule in SCHEDULES:
        check(opened, document, *schedule, 0.25, mode, 13)


def test_block_names_and_colours_are_the_core_s(opened):
    names = [
        "input_blocks.4.1.transformer_blocks.0.attn1.to_q",
        "middle_block.1.transformer_blocks.9.attn2.to_out.0",
        "output_blocks.11.1.proj_in",
        "double_blocks.0.img_attn.qkv[0:3072]",
        "single_blocks.37.linear1[9216:21504]",
        "transformer_blocks.3.attn.to_q",
        "layers.7.attention.qkv[0:64]",
        "context_refiner.1.attention.out",
        "time_embed.0",
    ]
    blocks = opened.evaluate(
        """async (names) => {
          const { blockOf } = await import('/extensions/k-lora/js/order.js')
          return names.map((name) => { const { group, block } = blockOf(name); return [group, block] })
        }""",
        names,
    )
    assert blocks == [list(order.block(name)) for name in names]
    colours = opened.evaluate("async () => (await import('/extensions/k-lora/js/theme.js')).coloursNow()")
    for role in ("subject", "style", "background", "panel", "band", "grid", "muted", "text"):
        assert colours[role] == getattr(palette, role.upper()), role


def test_large_plan_is_drawn_once_a_frame_and_not_by_pointing(opened):
    opened.evaluate(
        """async (plan) => {
          const [{ MapView }, maths, { wordsFor }] = await Promise.all(
            ['view', 'maths', 'words'].map((name) => import(`/extensions/k-lora/js/${name}.js`)))
          window.view = new MapView({ words: wordsFor('en'), open: true, onFold: (open, change) => change() })
          Object.assign(view.element.style, { position: 'fixed', inset: '60px auto auto 60px', zIndex: 9999,
            width: '420px', height: '520px' })
          document.body.append(view.element)
          window.turn = (balance) => {
            const schedule = { ...plan.schedule, balance }
            const decision = maths.decide(plan, { schedule, gammaMode: 'paper', steps: 30 })
            view.show({ plan, decision, hint: null, byProgress: false })
          }
          turn(0)
        }""",
        made_up(1500),
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
