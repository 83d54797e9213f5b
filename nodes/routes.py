"""The pack's own addresses on the host's server, where one runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from server import PromptServer

Answer = Callable[[Any], Awaitable[web.Response]]


def serve(path: str, answer: Answer) -> None:
    """Answer ``GET path``."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and not any(getattr(route, "path", None) == path for route in server.routes):
        # A server with two copies of the pack would not start with the same route twice.
        server.routes.get(path)(answer)
