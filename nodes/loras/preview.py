"""The picture beside a LoRA file, for the page's lists: where LoRA Manager and other packs put it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import folder_paths
from aiohttp import web

from ..host import listed, serve

ROUTE = "/klora/preview"
LARGEST = 8 << 20
"""In bytes: a preview, not the picture that somebody made with the LoRA."""
_KINDS = ("png", "jpg", "jpeg", "webp", "gif")
# By the bytes that a file begins with: what is sent is a picture, whatever its name says.
_SIGNS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
_WEBP = b"RIFF", b"WEBP"


class Preview(NamedTuple):
    """A picture's bytes, and its media type."""

    content: bytes
    kind: str


def preview_of(name: str) -> Preview | None:
    """The picture beside a LoRA that the loras folder offers; None where there is none that can be shown."""
    path = listed("loras", name)
    if path is None:
        return None
    return next(filter(None, map(_picture, _beside(path))), None)


def _beside(path: str) -> Iterator[Path]:
    """Where a preview of the file at ``path`` may lie, the first that counts first."""
    stem = os.path.splitext(path)[0]
    roots = [
        os.path.realpath(root) for root in (*folder_paths.get_folder_paths("loras"), os.path.dirname(path))
    ]
    for infix in (".preview.", "."):
        for kind in _KINDS:
            real = os.path.realpath(f"{stem}{infix}{kind}")
            # A link may lead anywhere.
            if any(real.startswith(os.path.join(root, "")) for root in roots):
                yield Path(real)


def _picture(path: Path) -> Preview | None:
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    kind = next((kind for sign, kind in _SIGNS.items() if content.startswith(sign)), None)
    if (content[:4], content[8:12]) == _WEBP:
        kind = "webp"
    return None if kind is None else Preview(content, f"image/{kind}")


async def _answer(request: Any) -> web.Response:
    found = await asyncio.to_thread(preview_of, request.rel_url.query.get("name", ""))
    if found is None:
        # That there is none is no error that a page should log.
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    headers = {"Cache-Control": "private, max-age=60", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=found.content, content_type=found.kind, headers=headers)


def serve_previews() -> None:
    """Answer the page's ``GET /klora/preview?name=FILE``, where a server runs."""
    serve(ROUTE, _answer)
