"""The LoRA Set node: any number of LoRAs with their roles, for Compose LoRAs and Merge LoRAs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from ..klora_core.errors import KLoraError, naming
from ..klora_core.loras import OTHER, ROLES, STYLE, SUBJECT
from ..klora_core.methods import ALWAYS, When
from ..klora_core.names import strengths_of
from . import dials
from .composing import LoraSet, LoraStack, Member
from .inputs import check_number, checked
from .loras import load, name_of

# By name: the role of the stack's first LoRA, and of the others.
STACK_ROLES = {
    "subject, then styles": (SUBJECT, STYLE),
    "all styles": (STYLE, STYLE),
    "all subjects": (SUBJECT, SUBJECT),
    "all other": (OTHER, OTHER),
}
_FIRST = next(iter(STACK_ROLES))
_NO_FILE = ("", "None")


def _share(name: str, default: float, tooltip: str) -> io.Float.Input:
    return dials.number(name, default, (0.0, 1.0), 0.01, tooltip, optional=True)


class KLoRASet(io.ComfyNode):
    """Collect LoRAs and say what each is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRASet",
            display_name="LoRA Set",
            category="K-LoRA/compose",
            description="Collects any number of LoRAs, each with its strength and its role, for Compose "
            "LoRAs or Merge LoRAs.",
            search_aliases=["klora", "lora stack", "several loras", "multi lora", "lora list"],
            inputs=[
                io.LoraModel.Input("lora", optional=True, tooltip="A LoRA to add."),
                dials.strength(
                    "strength",
                    "How strongly this LoRA works where and when it works. The papers of LoRA Switch "
                    "and LoRA Composite use 0.8.",
                ),
                io.Combo.Input(
                    "role",
                    options=list(ROLES),
                    default=SUBJECT,
                    tooltip="subject: who or what is shown. style: how it is drawn. other: neither, such as "
                    "a speed LoRA; it works beside the method, everywhere and all the time.",
                ),
                LoraSet.Input("set", optional=True, tooltip="Another LoRA Set, whose LoRAs come first."),
                LoraStack.Input(
                    "lora_stack",
                    optional=True,
                    tooltip="A stack of a LoRA stacker, whose LoRAs come last.",
                ),
                dials.advanced(
                    "stack_roles",
                    tuple(STACK_ROLES),
                    "What the stack's LoRAs are. By default the first is the subject, the others are styles.",
                ),
                _share("start", 0.0, "From which share of the run on this LoRA works, with As scheduled."),
                _share("end", 1.0, "Until which share of the run this LoRA works, with As scheduled."),
                io.String.Input(
                    "curve",
                    default="",
                    optional=True,
                    tooltip="How strongly this LoRA works over the run, with As scheduled: shares of the run "
                    "and strengths, linear between them, such as 0:1, 0.4:0.6, 1:0. Empty: 1 throughout.",
                ),
                io.String.Input(
                    "blocks",
                    default="",
                    optional=True,
                    tooltip="How strongly this LoRA works in which blocks, by their names on the map: "
                    "down 1-3: 0, mid: 0.5, up: 1. Or content or style, for SDXL and FLUX. Empty: alike. A "
                    "layer at 0 does not compete.",
                ),
                # By its place in saved workflows a new input is the last.
                io.Boolean.Input(
                    "on",
                    default=True,
                    optional=True,
                    tooltip="Off: the LoRA and the stack of this node take no part. Those of set still do.",
                ),
            ],
            outputs=[LoraSet.Output("set", tooltip="The LoRAs, none of them applied yet.")],
        )

    @classmethod
    @checked
    def execute(
        cls,
        strength: float,
        role: str,
        lora: dict | None = None,
        set: Sequence[Member] | None = None,
        lora_stack: Sequence[Any] | None = None,
        stack_roles: str = _FIRST,
        start: float = 0.0,
        end: float = 1.0,
        curve: str = "",
        blocks: str = "",
        on: bool = True,
    ) -> io.NodeOutput:
        if not on:
            return io.NodeOutput(tuple(set or ()))
        if role not in ROLES:
            raise KLoraError(f"unknown role {role!r}.", f"Use one of {', '.join(ROLES)}")
        members, name = list(set or ()), role if lora is None else name_of(lora, role)
        with naming(name):
            blocks, when = strengths_of(blocks).text, When(start, end, curve)
        if lora is not None:
            members.append(Member(lora, name, role, strength, blocks=blocks, when=when))
        elif blocks or when != ALWAYS:
            raise KLoraError(
                "they are those of lora, and no LoRA is connected there.",
                "Connect a LoRA to lora, or leave start, end, curve and blocks at 0, 1 and empty",
            )
        members += _of_stack(lora_stack or (), stack_roles)
        if not members and set is None:
            raise KLoraError("the LoRA Set is empty.", "Connect a LoRA, a LoRA stack, or another set")
        return io.NodeOutput(tuple(members))


def _of_stack(stack: Sequence[Any], roles: str) -> list[Member]:
    if roles not in STACK_ROLES:
        raise KLoraError(f"unknown stack_roles {roles!r}.", f"Use one of {'; '.join(STACK_ROLES)}")
    members: list[Member] = []
    for entry in stack:
        try:
            name, strength, on_clip = entry
        except (TypeError, ValueError):
            raise KLoraError(
                f"lora_stack holds {entry!r}, no (name, strength_model, strength_clip).",
                "Connect a LORA_STACK",
            ) from None
        # Stackers leave places that were not used in their stacks.
        if name is None or name in _NO_FILE:
            continue
        for value in (strength, on_clip):
            check_number(f"The strength of {name} in lora_stack", value)
        role = STACK_ROLES[roles][1 if members else 0]
        lora = load(name)
        members.append(Member(lora, lora.file, role, strength, on_clip))
    return members
