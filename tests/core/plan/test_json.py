"""The plan's document, key for key with numbers worked out by hand: it says all, and reads back equal."""

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
from tests.support.plans import HEAD, SLOTS, evidence, klora_plan, whole_plan

KNOWN = {"shape": [8, 8], "rank_subject": 2, "rank_style": 3, "k": 6}


@pytest.fixture
def plan():
    return klora_plan(
        {
            "input_blocks.4.1.x[0:8]": evidence(1.25, 0.5),
            "middle_block.1.a": evidence(1.0, 0.0),
            "out.2": evidence(0.0, 2.0),
        },
        make_schedule("s*", balance=-0.5),
        "paper",
        subject=LoraInfo("cat, é.safetensors", "subject", 3, 0.8, ("u1", "u2")),
        style=LoraInfo("s", "style", 4, 1.0, ("v",)),
        progress=Progress("noise level"),
        other_layers="drop",
        notes=(Note("A note."),),
        warnings=("Look.",),
    )


def test_it_reads_back_equal(plan):
    text = plan.dumps(12)
    assert '"name": "cat, é.safetensors"' in text, "names as people write them"
    again = from_json(json.loads(text))
    assert again == plan
    assert again.dumps(12) == text
    assert (again.other_layers, again.notes, again.progress.mode) == (
        "drop",
        (Note("A note."),),
        "noise level",
    )


def test_the_keys_of_the_first_version_stay(plan):
    found = plan.to_json(4)
    assert found["schema"] == "klora-plan/1"
    assert found["subject"] == {"name": "cat, é.safetensors", "slots": 3, "strength": 0.8}
    assert found["gamma"] == {"mode": "paper", "value": 0.9}
    assert found["schedule"] == {"name": "s*", "alpha": 1.5, "beta": 1.3, "balance": -0.5}
    assert found["unmatched"] == {"subject": ["u1", "u2"], "style": ["v"]}
    first = found["slots"][0]
    old = ("name", "shape", "k", "rho", "choice")
    old += tuple(f"{key}_{role}" for key in ("rank", "score", "l1") for role in ("subject", "style"))
    assert set(old) | {"block", "group"} == set(first)
    assert (first["group"], first["block"]) == ("down", "down 4")
    assert found["slots"][1]["rho"] is None


def test_gamma_of_each_mode_is_there(plan):
    assert plan.to_json(4)["gammas"] == {"paper": 0.9, "reference": 1.25, "none": 1.0}


def test_what_becomes_of_the_loser(plan):
    assert plan.to_json(4)["score"] == "top-k"
    assert plan.to_json(4)["loser"] == {"mode": "off", "outside": 0.0}


def test_several_loras_of_a_role_read_back():
    two = klora_plan([evidence(1.0, 2.0)])
    slot = evidence(0, 0)._replace(ranks=(1, 2, 3), scores=(1.0, 2.0, 3.0), l1=(4.0, 5.0, 6.0))
    method = type(two.method)(make_schedule("s"), "paper", ("subject", "style", "style"), (slot,))
    loras = (*two.loras, LoraInfo("more", "style", 9, 0.5, ("w",)))
    three = type(two)(loras, two.slots, ("subject", "style", "style 2"), method)
    found = three.to_json(3)
    assert found["slots"][0]["score_style 2"] == 3.0
    assert from_json(json.loads(json.dumps(found))) == three


def test_a_damaged_document_is_refused(plan):
    whole = plan.to_json(3)
    for key in whole:
        if key in ("subject", "style", "steps", "passes", "facts", "gammas", "score", "loser"):
            continue
        broken = {k: v for k, v in whole.items() if k != key}
        with pytest.raises(KLoraError):
            from_json(broken)


@pytest.fixture
def worked() -> Plan:
    return whole_plan()


def test_the_whole_document(worked):
    first = {"score_subject": 3.0, "score_style": 1.0, "l1_subject": 6.0, "l1_style": 4.0}
    first |= {"rho": pytest.approx(3 / 1.75, rel=1e-15), "choice": "css"}
    second = {"score_subject": 1.0, "score_style": 0.0, "l1_subject": 1.0, "l1_style": 0.0}
    second |= {"rho": None, "choice": "ccc"}
    slots = [{**SLOTS[0], **KNOWN, **first}, {**SLOTS[1], **KNOWN, **second}]
    assert worked.to_json(3) == {**HEAD, "slots": slots}


def test_the_text_is_the_documents_with_a_line_a_key(worked):
    text = worked.dumps(3)
    assert json.loads(text) == worked.to_json(3)
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


def test_a_slot_that_nobody_uses_has_dashes(worked):
    fixed = replace(worked, method=BLora((1, -1)))
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
        ({"schema": "klora-plan/2"}, ": not a klora-plan/1 document: its schema is 'klora-plan/2'."),
        ({}, ": not a klora-plan/1 document: its schema is None"),
        (None, ": not a klora-plan/1 document"),
        (["x"], r": not a klora-plan/1 document: its schema is \['x'\]"),
        ({"schema": "klora-plan/1"}, r": the klora-plan/1 document is incomplete: KeyError\('method'\)"),
        ({"schema": "klora-plan/1", "gamma": {}}, ": the klora-plan/1 document is incomplete"),
        (
            {"schema": "klora-plan/1", "method": {"name": "none such"}},
            "^Use a newer version of this pack: the document's method 'none such' is not known.",
        ),
    ],
)
def test_what_is_no_plan_is_refused_in_words(given, words):
    with pytest.raises(KLoraError, match=words):
        from_json(given)


def test_a_bad_value_in_a_document_keeps_its_own_words(worked):
    found = worked.to_json(3)
    found["progress"]["mode"] = "never"
    with pytest.raises(KLoraError, match="^Use one of .*: unknown progress 'never'"):
        from_json(found)
