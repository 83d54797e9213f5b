"""The sets of the page's documents: kept for it, and served where a server runs."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from server import PromptServer

from ..klora_core.page_document import ForPage
from ..klora_core.page_store import PageStore
from ..klora_core.plan import Plan
from . import routes

ROUTE = "/klora/sets/{name}"
# About a thousand sets of an SDXL pair.
_LIMIT = 16 << 20
_SHARED = "klora_page_sets"
_own = PageStore(_LIMIT)


def keep(page: ForPage, plan: Plan) -> dict[str, Any]:
    """The page's settings, whose set is there for as long as ``plan`` lives and for a good while after."""
    _store().keep(page.name, page.content, plan)
    return page.settings


def content(name: str) -> bytes | None:
    """A set's JSON; None where it is not kept any more, or never was."""
    return _store().get(name)


def _store() -> PageStore:
    # Of two copies of the pack one answers the page, and the other may run the nodes.
    server = getattr(PromptServer, "instance", None)
    return _own if server is None else vars(server).setdefault(_SHARED, _own)


async def _answer(request: Any) -> web.Response:
    found = content(request.match_info["name"])
    if found is None:
        # That a set is gone is no error that a page should log, nor an answer to remember.
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    forever = {"Cache-Control": "private, max-age=31536000, immutable"}
    answer = web.Response(body=found, content_type="application/json", headers=forever)
    answer.enable_compression()
    return answer


def serve() -> None:
    """Answer the page's ``GET /klora/sets/NAME``, where a server runs."""
    routes.serve(ROUTE, _answer)
