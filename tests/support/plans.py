"""Plans made of bare numbers, for tests that need no tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from klora_core.loras import LoraInfo
from klora_core.methods.klora import Evidence, KLora, make_schedule
from klora_core.plan import Note, Plan, PlanSlot
from klora_core.progress import in_steps

ROLES = ("subject", "style")


def evidence(score_subject, score_style, l1=None, k=6, ranks=(2, 3)):
    """A slot's numbers; the L1 sums are the scores unless given."""
    scores = (float(score_subject), float(score_style))
    return Evidence(k, tuple(ranks), scores, tuple(map(float, l1 or scores)))


def klora_plan(
    slots: Mapping[str, Evidence] | Sequence[Evidence],
    schedule=None,
    mode="none",
    *,
    subject=None,
    style=None,
    **rest,
) -> Plan:
    """A K-LoRA plan of slots by name."""
    if not isinstance(slots, Mapping):
        slots = {f"middle_block.{i}.attn1.to_q": slot for i, slot in enumerate(slots)}
    return Plan(
        (subject or LoraInfo("c", "subject"), style or LoraInfo("s", "style")),
        tuple(PlanSlot(name, (8, 8)) for name in slots),
        ROLES,
        KLora(schedule or make_schedule("s"), mode, ROLES, tuple(slots.values())),
        **rest,
    )


def sdxl_names() -> Iterator[str]:
    """SDXL's 722 linear layers."""
    tails = [f"{each}.{part}" for each in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v", "to_out.0")]
    down = {"input_blocks.4": 2, "input_blocks.5": 2, "input_blocks.7": 10, "input_blocks.8": 10}
    up = {f"output_blocks.{i}": 10 if i < 3 else 2 for i in range(6)}
    for root, depth in {**down, "middle_block": 10, **up}.items():
        yield from (f"{root}.1.{part}" for part in ("proj_in", "proj_out"))
        for block in range(depth):
            inner = f"{root}.1.transformer_blocks.{block}"
            yield from (f"{inner}.{tail}" for tail in (*tails, "ff.net.0.proj", "ff.net.2"))


def choices(plan: Plan, steps: int) -> np.ndarray:
    """int [slots, steps] of a plan of one pass."""
    return plan.choices(in_steps(steps))[0]


def with_method(plan: Plan, **changes) -> Plan:
    """The plan with fields of its method changed."""
    return replace(plan, method=replace(plan.method, **changes))


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
