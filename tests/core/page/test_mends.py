"""The two buttons under the map: what gives a lost subject or a weak style more, and that it does."""

from __future__ import annotations

import pytest

from klora_core.methods.klora import balance_for, make_schedule, style_share
from klora_core.progress import in_steps
from tests.core.page.test_maths import made_up, sent
from tests.support.page import evaluate, why_not
from tests.support.plans import with_method

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

STEPS = 30
XS = [moment.x for moment in in_steps(STEPS).moments]
CASES = [(name, balance) for name in ("s", "s*") for balance in (-1.0, -0.2, -0.1, 0.0, 0.15, 0.2, 1.0)]


def mends(cases):
    known = {"mode": "auto", "sampler": {"steps": STEPS, "whole": True}, "run": None, "resolution": STEPS}
    document = sent(made_up())
    asks = [
        {"task": "decide", "document": document, "known": known, "widgets": {"schedule": n, "balance": b}}
        for n, b in cases
    ]
    return {
        case: {mend["candidate"]: mend for mend in found["mends"]}
        for case, found in zip(cases, evaluate(asks), strict=True)
    }


def style_at(name, balance):
    return style_share(made_up().method.rhos, make_schedule(name, balance=balance), XS)


def test_what_a_button_sets_gives_the_role_more():
    for (name, balance), found in mends(CASES).items():
        now = style_at(name, balance)
        for candidate, mend in found.items():
            assert mend["share"] == pytest.approx(now if candidate == 1 else 1 - now, abs=1e-12)
            there = style_at(
                *((name, mend["value"]) if mend["dial"] == "balance" else (mend["value"], balance))
            )
            assert (there - now) * (1 if candidate == 1 else -1) > 0, (name, balance, mend)


def test_balance_comes_first_then_the_other_schedule():
    found = mends(CASES)
    for (name, balance), (far, candidate, other) in (
        (case, role) for case in CASES for role in ((-1, 0, "s*"), (1, 1, "s"))
    ):
        mend = found[name, balance].get(candidate)
        if balance * far < 0.2:
            assert mend["dial"] == "balance" and -1 <= mend["value"] <= 1
        elif name != other:
            assert (mend["dial"], mend["value"]) == ("schedule", other)
        else:
            assert mend is None


def test_a_role_with_too_little_gets_the_balance_of_equal_shares():
    plan = with_method(made_up(), schedule=make_schedule("s", balance=-0.6))
    (found,) = mends([("s", -0.6)]).values()
    assert found[1]["value"] == balance_for(plan.method.rhos, plan.method.schedule, XS)
