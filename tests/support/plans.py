"""Plans made of bare numbers, for tests that need no tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from klora_core.loras import LoraInfo
from klora_core.methods.klora import Evidence, KLora, make_schedule
from klora_core.plan import Plan, PlanSlot
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
