"""Telling the page which moments a run really has."""

from __future__ import annotations

import sys
from typing import Any

from comfy_execution.utils import get_executing_context

from ..klora_core.progress import Columns

EVENT = "klora.run"


def announce(node: str | None, mode: str, columns: Columns) -> None:
    """Send a run's columns to the page that queued it; ``node`` is the execution id of the Fuse node."""
    # Never imported here: without a running server there is no page to tell.
    server: Any = getattr(sys.modules.get("server"), "PromptServer", None)
    running = getattr(server, "instance", None)
    if node is None or running is None:
        return
    detail = {"node": node, "mode": mode, "x": [moment.x for moment in columns.moments]}
    # Which node samples it, and for which prompt: the page may show another workflow with the same node ids.
    if (context := get_executing_context()) is not None:
        detail |= {"sampler": context.node_id, "prompt": context.prompt_id}
    running.send_sync(EVENT, detail, running.client_id)
