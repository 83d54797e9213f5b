"""What the page gets: little with every run, the rest once for all runs of the LoRAs, and nothing rounded."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from klora_core import palette
from klora_core.loras import LoraInfo
from klora_core.methods import BLora, LoraComposite, LoraSwitch, Presence, Turns
from klora_core.methods.klora import make_schedule
from klora_core.methods.klora.schedule import Schedule
from klora_core.page import for_page
from klora_core.plan import Note, Plan, PlanSlot
from klora_core.progress import Progress
from tests.support.page import evaluate, sent, why_not
from tests.support.plans import HEAD, SLOTS, evidence, klora_plan, sdxl_names, whole_plan, with_method

pytestmark = pytest.mark.slow

COLUMNS = 30
NAMES = ("a_dog_that_people_know_sdxl_v1.safetensors", "watercolour-and-ink_painting-xl.safetensors")


def sdxl(count: int = 722, **changes) -> Plan:
    """Scores as two LoRAs of rank 16 have them there."""
    rng = random.Random(1)
    names = list(sdxl_names())[:count]
    slots = {name: evidence(rng.uniform(800, 4000), rng.uniform(800, 4000), k=256) for name in names}
    subject, style = (
        LoraInfo(name, role, 722, 0.85, base="SDXL")
        for name, role in zip(NAMES, ("subject", "style"), strict=True)
    )
    plan = klora_plan(slots, make_schedule("s", balance=-0.35), "reference", subject=subject, style=style)
    return replace(plan, **changes)


def test_both_parts_key_for_key():
    found = for_page(whole_plan(), 3)
    # What is in the set, and in "loras", is left out.
    left_out = ("subject", "style", "candidates", "unmatched", "notes", "warnings")
    settings = {key: value for key, value in HEAD.items() if key not in left_out}
    assert found.settings == {**settings, "set": found.name}
    assert json.loads(found.content) == {
        "schema": "klora-slots/1",
        "candidates": [
            {
                "label": "subject",
                "letter": "c",
                "dark": palette.SUBJECT_COLOUR,
                "light": palette.SUBJECT_ON_LIGHT,
            },
            {"label": "style", "letter": "s", "dark": palette.STYLE_COLOUR, "light": palette.STYLE_ON_LIGHT},
        ],
        "unmatched": {"subject": ["u"], "style": ["v", "w"]},
        "notes": ["A note."],
        "warnings": ["Look."],
        "page": {
            "palette": palette.THEMES,
            "defaults": {"alpha": 1.5, "beta": {"s": 0.5, "s*": 1.3}},
            "steps": 3,
            "said": ["Look."],
        },
        "columns": {
            "name": [slot["name"] for slot in SLOTS],
            "block": ["down 4", "out"],
            "group": ["down", "other"],
            "score_subject": [3.0, 1.0],
            "score_style": [1.0, 0.0],
        },
    }


def test_bytes_of_a_prompt_at_full_sdxl():
    """As the host writes them; the document of before had 121,973 with every prompt."""
    plan = sdxl()
    found = for_page(plan, COLUMNS)
    assert len(plan.slots) == 722
    assert len(json.dumps({"klora": [found.settings]})) < 1024
    assert len(found.content) <= 66 * 1024
    # Slots that do not compete and words, be they many, weigh on no run.
    names = tuple(plan.slots[i].name for i in range(300))
    loras = tuple(replace(lora, alone=names) for lora in plan.loras)
    long = replace(plan, slots=plan.slots[:1], loras=loras, notes=tuple(map(Note, names)), warnings=names)
    long = with_method(long, evidence=plan.method.evidence[:1])
    assert len(json.dumps(for_page(long, COLUMNS).settings)) < 1000


def test_dials_share_a_set_and_other_loras_do_not():
    plan = sdxl(40)
    first = for_page(plan, COLUMNS)
    dials = [
        with_method(plan, schedule=Schedule("s*", 0.7, 2.05, 0.1)),
        with_method(plan, gamma_mode="none"),
        with_method(plan, outside=0.5),
        replace(plan, progress=Progress("noise level")),
    ]
    found = [for_page(each, COLUMNS) for each in dials]
    assert {each.name for each in found} == {first.name}
    assert {each.content for each in found} == {first.content}
    assert len({json.dumps(each.settings) for each in (first, *found)}) == 5
    slots = plan.method.evidence
    # The least that a score can change by.
    near = slots[7]._replace(scores=(slots[7].scores[0] * (1 + 2**-52), slots[7].scores[1]))
    others = [
        with_method(plan, evidence=(*slots[:7], near, *slots[8:])),
        replace(plan, slots=(PlanSlot("input_blocks.4.1.proj_in[0:8]", (8, 8)), *plan.slots[1:])),
        replace(plan, warnings=("Look.",)),
    ]
    assert len({for_page(each, COLUMNS).name for each in (plan, *others)}) == 4


def test_what_repeats_is_sent_once():
    columns = json.loads(for_page(sdxl(100), COLUMNS).content)["columns"]
    assert columns["group"] == {"values": ["down"], "runs": [[0, 100]]}
    assert columns["block"] == {"values": ["down 4", "down 5", "down 7"], "runs": [[0, 22], [1, 22], [2, 56]]}


def plans():
    yield whole_plan()
    yield sdxl()
    yield klora_plan({}, make_schedule("s"))
    yield klora_plan([evidence(1 / 3, 1e-300), evidence(0.1 + 0.2, 1e300)])
    names = tuple(PlanSlot(f"middle_block.{i}.attn1.to_q", (8, 8)) for i in range(6))
    infos = tuple(LoraInfo(label, "style") for label in ("a", "b"))
    there = Presence(2, ((0, 1), (0,), (0, 1), (0, 1), (1,), ()))
    for method in (LoraSwitch(there, Turns(2)), LoraComposite(there)):
        yield Plan(infos, names, ("style", "style 2"), method)
    yield Plan(whole_plan().loras, names, ("subject", "style"), BLora((0, 1, -1, 1, 1, 0)))


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_the_page_puts_them_together():
    parts = [for_page(plan, COLUMNS) for plan in plans()]
    asks = [
        {"task": "documents", "sent": [each.settings], "sets": {each.name: json.loads(each.content)}}
        for each in parts
    ]
    for (found,), plan in zip(evaluate(asks), plans(), strict=True):
        assert found == sent(plan, COLUMNS), "numbers to the last bit"
        assert [slot["name"] for slot in found["slots"]] == [slot.name for slot in plan.slots]
        if plan.method.name == "K-LoRA":
            scores = [(slot["score_subject"], slot["score_style"]) for slot in found["slots"]]
            assert scores == [slot.scores for slot in plan.method.evidence]


def test_a_method_without_a_page_of_its_own_sends_its_choices():
    fixed = replace(whole_plan(), method=BLora((1, -1)))
    assert [slot["choice"] for slot in sent(fixed, 2)["slots"]] == ["ss", "--"]


def test_several_loras_of_a_role():
    loras = (
        LoraInfo("a", "style", 2),
        LoraInfo("b", "style", 1, 0.5, ("y",)),
        LoraInfo("c", "other", 1, 1.0, ("z",)),
    )
    slots = (PlanSlot("middle_block.1.a", (4, 6)), PlanSlot("out.2", (4, 4)))
    plan = Plan(loras, slots, ("style", "style 2"), LoraComposite(Presence(2, ((0, 1), (0,)))))
    found = sent(plan, 2)
    assert [lora["name"] for lora in found["loras"]] == ["a", "b", "c"]
    assert not any("alone" in lora for lora in found["loras"])
    assert found["unmatched"] == {"style": [], "style 2": ["y"], "other": ["z"]}
    assert [slot["loras"] for slot in found["slots"]] == [["style", "style 2"], ["style"]]


def test_it_says_first_what_is_not_applied():
    left = "style: 2 layers that this model does not have, NOT applied: a, b"
    plan = replace(whole_plan(), notes=(Note("a bias, applied as usual"), Note(left, applied=False)))
    assert sent(plan, 3)["page"]["said"] == [left, "Look."]
