"""The page's map of a run whose gates are told: mixed cells, by klora_core's own numbers."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from klora_core.loras import LoraInfo
from klora_core.methods import Presence
from klora_core.methods.gates import ArrowRouting, Ran
from klora_core.plan import Plan, PlanSlot
from klora_core.progress import in_steps
from tests.support.page import evaluate, sent, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

GATES = np.array([[[0.25, 0.75], [0.6, 0.4], [0.9, 0.1]], [[0, 0]] * 3, [[1, 0]] * 3], dtype=float)


def plan(ran: Ran | None = None) -> Plan:
    method = ArrowRouting(Presence(2, ((0, 1), (0,), (0, 1))), (True, False, True), "token", "1", ran=ran)
    labels = ("subject", "style")
    infos = tuple(LoraInfo(label, label) for label in labels)
    slots = tuple(PlanSlot(f"middle_block.{i}.attn1.to_q", (8, 8)) for i in range(3))
    return Plan(infos, slots, method.labels(labels), method)


def task(steps: int, gates: object, of: int) -> dict:
    run = {"mode": "steps", "x": [moment.x for moment in in_steps(of).moments]}
    known = {"mode": "auto", "sampler": {"steps": of, "whole": True}, "run": run, "resolution": 30}
    told = {"steps": steps, "gates": gates}
    return {"task": "gated", "document": sent(plan(), 30), "known": known, "gates": told}


def told(after: Plan, steps: int) -> str:
    mixed = after.method.mixed(in_steps(steps))
    return base64.b64encode(np.rint(mixed.transpose(1, 2, 0) * 255).astype(np.uint8).tobytes()).decode()


@pytest.mark.parametrize("of", [3, 5])
def test_cells_are_mixed_as_the_run_told(of):
    after = plan(Ran.of(GATES))
    (found,) = evaluate([task(3, told(after, 3), of)])
    np.testing.assert_allclose(found["shares"], after.shares(in_steps(3)), atol=0.01)
    assert found["leading"] == [1, 0, 0, 0, 0, 0, 0, 0, 0] and found["count"] == 3
    assert found["about"] == ["subject 58 %, style 42 %", "subject 100 %", "subject 100 %"]


@pytest.mark.parametrize(
    ("steps", "gates"), [(3, "AAAA"), (0, "AAAA"), (3, 7), (3, "\u00e4"), (None, None), (2, None)]
)
def test_what_is_none_of_the_document_s_is_not_drawn(steps, gates):
    after = plan(Ran.of(GATES))
    assert evaluate([task(steps, gates, 3)]) == [None]
    assert evaluate([task(2, told(after, 3), 3)]) == [None]
