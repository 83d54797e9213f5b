"""Every shipped workflow by its file's stem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from . import several, sheets, single
from .canvas import Json
from .host_nodes import HostNodes

SHIPPED: Mapping[str, Callable[[HostNodes], Json]] = {
    **{name: partial(single.build, workflow) for name, workflow in single.WORKFLOWS.items()},
    "k-lora-compare": sheets.compare,
    "k-lora-balance-sweep": sheets.balance_sweep,
    "k-lora-methods": sheets.methods,
    "k-lora-many-styles": several.many_styles,
    "k-lora-lora-stack": several.lora_stack,
}
