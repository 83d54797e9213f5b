"""What is said below the map, in each of the page's languages."""

from __future__ import annotations

from typing import Any

import pytest

from klora_core.loras import LoraInfo
from klora_core.methods import LoraSwitch, Presence, Turns
from klora_core.methods.klora import make_schedule
from klora_core.plan import Plan, PlanSlot
from klora_core.progress import Progress
from tests.support.browser.documents import recorded
from tests.support.page import evaluate, sent, why_not
from tests.support.plans import evidence, klora_plan

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

OWN_STEPS = {
    "en": "each run counts its own steps",
    "zh": "\u6b65\u6570\u6309\u6bcf\u6b21\u8fd0\u884c\u5404\u81ea\u8ba1\u7b97",
    "ja": "\u30b9\u30c6\u30c3\u30d7\u306f\u5b9f\u884c\u3054\u3068\u306b\u6570\u3048\u307e\u3059",
}
ZERO = {
    "en": ("the style LoRA is zero here", "the subject LoRA is zero here"),
    "zh": (
        "\u98ce\u683c LoRA \u5728\u6b64\u5c42\u4e3a\u96f6",
        "\u4e3b\u4f53 LoRA \u5728\u6b64\u5c42\u4e3a\u96f6",
    ),
    "ja": (
        "\u30b9\u30bf\u30a4\u30eb LoRA \u306f\u3053\u3053\u3067 0",
        "\u88ab\u5199\u4f53 LoRA \u306f\u3053\u3053\u3067 0",
    ),
}


def lines(document: dict[str, Any], language: str, steps: int | None, **more: Any) -> list[str]:
    sampler = {"steps": steps, "whole": steps is not None}
    known = {"mode": "auto", "sampler": sampler, "run": None, "resolution": 30}
    (told,) = evaluate([{"task": "lines", "document": document, "known": known, "locale": language, **more}])
    return told


def switch() -> dict[str, Any]:
    method = LoraSwitch(Presence(2, ((0, 1), (0,))), Turns(3, "code", 0, 1))
    slots = tuple(PlanSlot(f"middle_block.{i}.attn1.to_q", (8, 8)) for i in range(2))
    infos = (LoraInfo("one", "subject"), LoraInfo("two", "style"))
    return sent(Plan(infos, slots, ("subject", "style"), method, Progress("auto")), 8)


def counted() -> dict[str, Any]:
    document = recorded(lambda slot, column, each: column % 2, steps=8)
    document["method"]["counts_steps"] = True
    return document


@pytest.mark.parametrize("language", OWN_STEPS)
@pytest.mark.parametrize("document", [switch(), counted()], ids=["live", "recorded"])
def test_that_each_run_counts_its_own_steps_is_said_where_a_run_is_supposed(document, language):
    supposed, own = lines(document, language, None), lines(document, language, 8)
    assert supposed[1] == f"{own[1]} \u00b7 {OWN_STEPS[language]}"
    assert supposed[0] == own[0]


@pytest.mark.parametrize("language", ZERO)
def test_a_lora_that_is_zero_in_a_slot_is_said_at_its_cell(language):
    document = sent(klora_plan([evidence(1.0, 0.0), evidence(0.0, 1.0)], make_schedule("s"), "paper"), 8)
    for slot, said in enumerate(ZERO[language]):
        assert said in lines(document, language, 8, cursor={"slot": slot, "column": 0})[1]
