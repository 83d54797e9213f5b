"""Whole documents, key for key, with numbers worked out by hand: what other programs read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo
from klora_core.methods import BLora, LoraComposite, Presence
from klora_core.methods.klora import make_schedule
from klora_core.methods.method import Fact
from klora_core.plan import Note, Plan, PlanSlot
from klora_core.plan_file import from_json
from klora_core.progress import Progress
from tests.support.plans import evidence, klora_plan

SLOTS = [
    {"name": "input_blocks.4.1.x[0:8]", "block": "down 4", "group": "down"},
    {"name": "out.2", "block": "out", "group": "other"},
]
# gamma = (6 + 1) / (4 + 0); S at 1/6, 3/6 and 5/6, twice as large by the balance: 1.5, 2.5, 3.5.
HEAD = {
    "schema": "klora-plan/1",
    "method": {"name": "K-LoRA", "paper": "arXiv 2502.18461", "live": True, "counts_steps": False},
    "subject": {"name": "cat", "slots": 3, "strength": 0.8},
    "style": {"name": "ink", "slots": 4, "strength": 1.0},
    "gamma": {"mode": "paper", "value": 1.75},
    "schedule": {"name": "s", "alpha": 1.5, "beta": 0.5, "balance": 0.5},
    "gammas": {"paper": 1.75, "reference": 1.5, "none": 1.0},
    "score": "top-k",
    "loser": {"mode": "off", "outside": 0.0},
    "progress": {"mode": "auto"},
    "steps": 3,
    "passes": 1,
    "loras": [
        {"name": "cat", "slots": 3, "strength": 0.8, "role": "subject"},
        {"name": "ink", "slots": 4, "strength": 1.0, "role": "style"},
    ],
    "candidates": [{"label": "subject", "letter": "c"}, {"label": "style", "letter": "s"}],
    "facts": ["compared 6", "gamma 1.75 (paper)", "schedule s = (1.5 x + 0.5) · 2"],
    "other_layers": "keep",
    "unmatched": {"subject": ["u"], "style": ["v", "w"]},
    "notes": ["A note."],
    "warnings": ["Look."],
}
KNOWN = {"shape": [8, 8], "rank_subject": 2, "rank_style": 3, "k": 6}


def whole_plan(**changes) -> Plan:
    """The plan of HEAD and SLOTS."""
    return klora_plan(
        {SLOTS[0]["name"]: evidence(3.0, 1.0, (6.0, 4.0)), SLOTS[1]["name"]: evidence(1.0, 0.0)},
        make_schedule("s", balance=0.5),
        "paper",
        subject=LoraInfo("cat", "subject", 3, 0.8, ("u",)),
        style=LoraInfo("ink", "style", 4, 1.0, ("v", "w")),
        notes=(Note("A note."),),
        warnings=("Look.",),
        **changes,
    )


@pytest.fixture
def plan() -> Plan:
    return whole_plan()


def test_the_whole_document(plan):
    first = {"score_subject": 3.0, "score_style": 1.0, "l1_subject": 6.0, "l1_style": 4.0}
    first |= {"rho": pytest.approx(3 / 1.75, rel=1e-15), "choice": "css"}
    second = {"score_subject": 1.0, "score_style": 0.0, "l1_subject": 1.0, "l1_style": 0.0}
    second |= {"rho": None, "choice": "ccc"}
    slots = [{**SLOTS[0], **KNOWN, **first}, {**SLOTS[1], **KNOWN, **second}]
    assert plan.to_json(3) == {**HEAD, "slots": slots}


def test_the_text_is_the_documents_with_a_line_a_key(plan):
    text = plan.dumps(3)
    assert json.loads(text) == plan.to_json(3)
    assert text.startswith('{\n "schema": "klora-plan/1",\n') and text.endswith("\n}\n")


@pytest.fixture
def passes() -> Plan:
    """Two passes, a LoRA that takes no part, and one of a role that is there already."""
    loras = (
        LoraInfo("a", "style", 2),
        LoraInfo("b", "style", 1, 0.5, ("y",)),
        LoraInfo("c", "other", 1, 1.0, ("z",)),
    )
    slots = (PlanSlot("middle_block.1.a", (4, 6)), PlanSlot("out.2", (4, 4)))
    method = LoraComposite(Presence(2, ((0, 1), (0,))))
    return Plan(loras, slots, ("style", "style 2"), method, Progress("noise level"), "drop")


def test_a_slot_that_nobody_uses_has_dashes(plan):
    fixed = replace(plan, method=BLora((1, -1)))
    assert [slot["choice"] for slot in fixed.to_json(2)["slots"]] == ["ss", "--"]


def test_passes_and_loras_of_one_role(passes):
    found = passes.to_json(2)
    assert [slot["loras"] for slot in found["slots"]] == [["style", "style 2"], ["style"]]
    assert [slot["choice"] for slot in found["slots"]] == ["cc/ss", "cc/--"]
    assert (found["passes"], found["steps"]) == (2, 2)
    assert found["facts"] == ["passes 2"]
    assert found["loras"] == [
        {"name": "a", "slots": 2, "strength": 1.0, "role": "style"},
        {"name": "b", "slots": 1, "strength": 0.5, "role": "style", "alone": ["y"]},
        {"name": "c", "slots": 1, "strength": 1.0, "role": "other", "alone": ["z"]},
    ]
    assert "subject" not in found and found["unmatched"] == {"style": []}
    assert from_json(found) == passes


def test_facts_without_a_label_begin_with_their_value(passes, monkeypatch):
    monkeypatch.setattr(LoraComposite, "facts", lambda self: (Fact("", "alone"), Fact("one", "1", "unsaid")))
    assert passes.to_json(1)["facts"] == ["alone", "one 1"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"schema": "klora-plan/2"}, "Not a klora-plan/1 document: its schema is 'klora-plan/2'."),
        (["x"], r"Not a klora-plan/1 document: its schema is \['x'\]"),
        ({"schema": "klora-plan/1"}, r"The klora-plan/1 document is incomplete: KeyError\('method'\)"),
        (
            {"schema": "klora-plan/1", "method": {"name": "none such"}},
            "The document's method 'none such' is not known: use a newer version of this pack.",
        ),
    ],
)
def test_what_is_no_plan_is_refused_in_words(given, words):
    with pytest.raises(KLoraError, match=words):
        from_json(given)


def test_a_bad_value_in_a_document_keeps_its_own_words(plan):
    found = plan.to_json(3)
    found["progress"]["mode"] = "never"
    with pytest.raises(KLoraError, match="^Unknown progress 'never'"):
        from_json(found)
