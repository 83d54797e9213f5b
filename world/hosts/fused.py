"""K-LoRA on the small MMDiT without any host: the pack's own plan, applied by the pack's own buffers and
hooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from klora_core.apply import Attachment, Buffers, HostRules, compose
from klora_core.deltas import LowRank, Row, Rows
from klora_core.loras import LoraInfo
from klora_core.methods.klora import KLora, evidence_of, make_schedule
from klora_core.names import Slot
from klora_core.pipelines import layers_of
from klora_core.plan import Plan, make_plan
from klora_core.progress import Moment, step_progress
from klora_core.scores import score
from klora_core.toy import encode

from ..model.lora import SLOTS, Factors
from ..model.mmdit import HIDDEN
from ..model.sampling import GUIDANCE, STEPS, noise_levels

ROLES = ("subject", "style")
RULES = HostRules(frozenset({nn.Linear.forward}))


def place(index: int) -> Slot:
    """A slot of the world as the pack names it: the weight, and the rows of a fused one."""
    slot = SLOTS[index]
    return Slot(slot.module, None if slot.part is None else (slot.part * HIDDEN, HIDDEN))


def rows_of(loras: Sequence[Factors]) -> tuple[Row, ...]:
    """The world's LoRAs side by side."""
    return tuple(Row(place(i), tuple(LowRank(*lora[i]) for lora in loras)) for i in range(len(SLOTS)))


def klora_plan(
    subject: Factors, style: Factors, schedule: str = "s", balance: float = 0.0, strength: float = 1.0
) -> tuple[Plan, Rows]:
    """K-LoRA's plan of two LoRAs, and the rows that it was made of."""
    rows = Rows(rows_of((subject, style)), ({}, {}))
    evidence = evidence_of(rows.competing, ROLES, partial(score, device="cpu"), ROLES)
    method = KLora(make_schedule(schedule, balance=balance), "paper", ROLES, evidence)
    return make_plan(rows, [LoraInfo(role, role, 0, strength) for role in ROLES], method), rows


@torch.inference_mode()
def sample(model: nn.Module, text: str, noise: Tensor, plan: Plan, rows: Rows, steps: int = STEPS) -> Tensor:
    """Latents [B, 16, 12, 12] of a plan: sampling.sample's steps, each with who works in it."""
    composition = compose(plan, rows, layers_of(model).spots)
    attachment = Attachment(model, composition, Buffers(composition.targets, torch.float32), RULES)
    b, levels, x = len(noise), noise_levels(steps), noise * 1.0
    captions = [encode(words) for words in (text, "")]
    context = torch.cat([c.expand(b, -1, -1) for c, _ in captions])
    pooled = torch.cat([p.expand(b, -1) for _, p in captions])
    try:
        for step, (now, then) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
            moment = Moment(step_progress(step, steps), step, steps)

            def call(_: int, x: Tensor = x, now: Tensor = now) -> Tensor:
                return model(torch.cat([x, x]), now.expand(2 * b) * 1000, context, pooled)

            with_words, without = attachment.run(plan.who(moment), plan.method.weights(moment), call).chunk(2)
            x = x + (then - now) * (without + GUIDANCE * (with_words - without))
    finally:
        attachment.remove()
    return x
