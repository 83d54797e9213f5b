"""What a LoRA file says of itself, for its loader's outputs and for the page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ...klora_core.errors import KLoraError
from ...klora_core.files import changes, is_torch_file, read_header, read_torch, trigger_words, utf8_path
from ...klora_core.names import BaseModel, base_model_of, words_of
from ..host import FileMemo, listed, of_file, serve

ROUTE = "/klora/lora"


_Told = tuple[BaseModel | None, str]


def _base_and_words(shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str]) -> _Told:
    return base_model_of(changes(shapes), metadata), trigger_words(metadata)


def _of_file(path: str) -> _Told:
    with utf8_path(path) as plain:
        try:
            is_torch = is_torch_file(plain)
            shapes = {key: tuple(t.shape) for key, t in read_torch(plain).tensors.items()} if is_torch else {}
        except (KLoraError, OSError):
            return None, ""
        return _base_and_words(*((shapes, {}) if is_torch else read_header(plain)))


_FILES: FileMemo[_Told] = FileMemo(_of_file, (None, ""))


def of_lora(lora: Mapping[str, Any]) -> dict[str, str]:
    """``trigger_words`` and ``base_model`` of a LORA_MODEL; empty where nothing tells them."""
    shapes = {key: tuple(tensor.shape) for key, tensor in lora.items()}
    base, words = _base_and_words(shapes, getattr(lora, "metadata", {}))
    return {"trigger_words": words, "base_model": words_of(base) or ""}


def beside(name: str, folder: str, model: str) -> dict[str, Any] | None:
    """The same of a LoRA that the loras folder offers, None where there is none of that name.

    With ``model``, the base model in the file ``model`` of ``folder``, and ``fits`` if both are known.
    """
    path = listed("loras", name)
    if path is None:
        return None
    base, words = _FILES.of(path)
    told = {"trigger_words": words, "base_model": words_of(base) or ""}
    if not model:
        return told
    loaded = of_file(folder, model)
    return {**told, "model": loaded, **({"fits": base.fits(loaded)} if base and loaded else {})}


async def _answer(request: Any) -> web.Response:
    asked = (request.rel_url.query.get(key, "") for key in ("name", "folder", "model"))
    # A widget may hold the name of no file yet; that is no error that a page should log.
    return web.json_response(await asyncio.to_thread(beside, *asked) or {})


def serve_info() -> None:
    """Answer the page's ``GET /klora/lora?name=FILE[&folder=FOLDER&model=FILE]``, where a server runs."""
    serve(ROUTE, _answer)
