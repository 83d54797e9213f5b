"""What a LoRA file says of itself, for its loader's outputs and for the page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import folder_paths
from aiohttp import web

from ..klora_core import base_names, headers
from ..klora_core.files import utf8_path
from ..klora_core.trigger_words import trigger_words
from . import model_file, routes

ROUTE = "/klora/lora"


def told(shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str]) -> dict[str, str]:
    """``trigger_words`` and ``base_model`` of a file; empty where nothing tells them."""
    base = base_names.of_lora(headers.changes(shapes), metadata)
    return {"trigger_words": trigger_words(metadata), "base_model": base or ""}


def of_lora(lora: Mapping[str, Any]) -> dict[str, str]:
    """The same of a LORA_MODEL; its metadata where it has some."""
    shapes = {key: tuple(tensor.shape) for key, tensor in lora.items()}
    return told(shapes, getattr(lora, "metadata", {}))


def of_file(name: str) -> dict[str, str] | None:
    """The same of a file of the loras folder, None where there is none of that name."""
    path = folder_paths.get_full_path("loras", name)
    if path is None:
        return None
    with utf8_path(path) as plain:
        return told(*headers.read(plain))


def beside(name: str, folder: str, model: str) -> dict[str, Any] | None:
    """:func:`of_file`, and ``model``, the base model in ``folder``'s file; ``fits`` if both are known."""
    told = of_file(name)
    if told is None or not model:
        return told
    base = model_file.base_of(folder, model)
    known = told["base_model"] and base
    return {**told, "model": base, **({"fits": base_names.is_of(told["base_model"], base)} if known else {})}


async def _answer(request: Any) -> web.Response:
    asked = (request.rel_url.query.get(key, "") for key in ("name", "folder", "model"))
    # A widget may hold the name of no file yet; that is no error that a page should log.
    return web.json_response(await asyncio.to_thread(beside, *asked) or {})


def serve() -> None:
    """Answer the page's ``GET /klora/lora?name=FILE[&folder=FOLDER&model=FILE]``, where a server runs."""
    routes.serve(ROUTE, _answer)
