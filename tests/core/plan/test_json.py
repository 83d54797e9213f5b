"""The document says all that a plan says, and reads back equal."""

from __future__ import annotations

import json

import pytest

from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo
from klora_core.methods.klora import make_schedule
from klora_core.plan import Note
from klora_core.plan_file import from_json
from klora_core.progress import Progress
from tests.support.plans import evidence, klora_plan


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


@pytest.mark.parametrize(
    "other",
    [
        {},
        None,
        [],
        {"schema": "klora-plan/2"},
        {"schema": "klora-plan/1", "gamma": {}},
        {"schema": "klora-plan/1", "method": {"name": "no such"}},
    ],
)
def test_other_documents_are_refused(other):
    with pytest.raises(KLoraError):
        from_json(other)


def test_a_damaged_document_is_refused(plan):
    whole = plan.to_json(3)
    for key in whole:
        if key in ("subject", "style", "steps", "passes", "facts", "gammas", "score", "loser"):
            continue
        broken = {k: v for k, v in whole.items() if k != key}
        with pytest.raises(KLoraError):
            from_json(broken)
