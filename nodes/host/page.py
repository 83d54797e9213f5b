"""What the page gets from here: answers, the sets of its documents, word of a run's moments."""

from __future__ import annotations

import base64
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from aiohttp import web
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ...klora_core.page import ForPage, PageStore
from ...klora_core.plan import Plan
from ...klora_core.progress import Columns, in_steps

EVENT = "klora.run"
UNSEEN = "klora.unseen"
GATES = "klora.gates"
PICKS = "klora.picks"
SETS = "/klora/sets/{name}"
RUNNING = "/klora/running"
# About a thousand sets of an SDXL pair.
_LIMIT = 16 << 20
_SHARED = "klora_page_sets"
_SHARED_RUNNING = "klora_page_running"
_own = PageStore(_LIMIT)
_LOG = logging.getLogger("klora")


Answer = Callable[[Any], Awaitable[web.Response]]


def serve(path: str, answer: Answer) -> None:
    """Answer ``GET path``."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and not any(getattr(route, "path", None) == path for route in server.routes):
        # A server with two copies of the pack would not start with the same route twice.
        server.routes.get(path)(answer)


def keep_set(page: ForPage, plan: Plan) -> dict[str, Any]:
    """The page's settings, whose set is there for as long as ``plan`` lives and for a good while after."""
    _store().keep(page.name, page.content, plan)
    _note(None, "sent", page.settings)
    return page.settings


def set_content(name: str) -> bytes | None:
    """A set's JSON; None where it is not kept any more, or never was."""
    return _store().get(name)


def _store() -> PageStore:
    # Of two copies of the pack one answers the page, and the other may run the nodes.
    server = getattr(PromptServer, "instance", None)
    return _own if server is None else vars(server).setdefault(_SHARED, _own)


async def _answer_set(request: Any) -> web.Response:
    found = set_content(request.match_info["name"])
    if found is None:
        # That a set is gone is no error that a page should log, nor an answer to remember.
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    forever = {"Cache-Control": "private, max-age=31536000, immutable"}
    answer = web.Response(body=found, content_type="application/json", headers=forever)
    answer.enable_compression()
    return answer


async def _answer_running(_: Any) -> web.Response:
    running = _running()
    if running is None or not running:
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    return web.json_response(running, headers={"Cache-Control": "no-store"})


def serve_page() -> None:
    """Answer the page's ``GET /klora/sets/NAME`` and ``GET /klora/running``, where a server runs."""
    serve(SETS, _answer_set)
    serve(RUNNING, _answer_running)


def _running() -> dict[str, Any] | None:
    """Of the last prompt in which a node told the page something: its id, and what by node."""
    server = getattr(PromptServer, "instance", None)
    return None if server is None else vars(server).setdefault(_SHARED_RUNNING, {})


def _note(node: str | None, what: str, told: dict[str, Any]) -> None:
    """Keep what a page is told, for one that is opened again before the run ends. None: the running node."""
    running, context = _running(), get_executing_context()
    if running is None or context is None:
        return
    if running.get("prompt") != context.prompt_id:
        running.clear()
        running.update(prompt=context.prompt_id, nodes={})
    running["nodes"].setdefault(node or context.node_id, {})[what] = told


def announce(node: str | None, mode: str, columns: Columns) -> None:
    """Say how a run is counted: in the log, and with its columns to the page that queued it.

    ``node`` is the execution id of the Fuse node.
    """
    _LOG.info("K-LoRA: a run of %d step(s), progress counted by %s.", len(columns), mode)
    context = get_executing_context()
    # Which node samples it: the page follows its steps.
    sampler = {} if context is None else {"sampler": context.node_id}
    run = {"mode": mode, "x": [moment.x for moment in columns.moments], **sampler}
    if node is not None:
        _note(node, "run", run)
    _send(EVENT, node, run)


def announce_unseen(node: str | None, layers: Sequence[str], of: int, whole: bool) -> None:
    """Send to that page which of ``of`` layers did not run: in the first evaluation, or in a whole run."""
    _send(UNSEEN, node, {"layers": list(layers), "of": of, "whole": whole})


def announce_gates(node: str | None, plan: Plan, steps: int) -> None:
    """Send to that page how much of each candidate each slot took in each of a run's ``steps``, in 255ths."""
    mixed = plan.method.mixed(in_steps(steps))
    if mixed is not None:
        rounded = np.rint(mixed.transpose(1, 2, 0) * 255).astype(np.uint8)
        _send(GATES, node, {"steps": steps, "gates": base64.b64encode(rounded.tobytes()).decode("ascii")})


def announce_picture(node: str | None, picture: dict[str, Any], round: int, done: int, of: int) -> None:
    """Send to that page a picture of a round's sheet: ``done`` of ``of`` pictures are there."""
    _send(PICKS, node, {"round": round, "picture": picture, "done": done, "of": of})


def _send(event: str, node: str | None, detail: dict[str, Any]) -> None:
    # Never imported here: without a running server there is no page to tell.
    server: Any = getattr(sys.modules.get("server"), "PromptServer", None)
    running = getattr(server, "instance", None)
    if node is None or running is None:
        return
    # For which prompt: the page may show another workflow with the same node ids.
    context = get_executing_context()
    prompt = {} if context is None else {"prompt": context.prompt_id}
    running.send_sync(event, {"node": node, **detail, **prompt}, running.client_id)
