"""One LoRA alone on a model, by hooks: for what the host's own patches can't do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...klora_core.loras import SUBJECT
from ...klora_core.methods import ALWAYS, LoraSwitch
from ...klora_core.plan import KEEP
from ...klora_core.progress import AUTO
from ..composing import Member, composed
from ..methods import of_value


def alone(model: Any, member: Member) -> Any:
    """The model with a LoRA on it, all the time, in its blocks."""
    own = replace(member, role=SUBJECT, when=ALWAYS)
    return composed(model, None, [own], of_value({"method": LoraSwitch.name}), KEEP, AUTO).model
