"""Safetensors files that are damaged below their tensors, or say what trips a careless reader."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable

from safetensors.torch import save
from torch import Tensor

from tests.support import headers


def as_bytes(rng: random.Random, tensors: dict[str, Tensor], broken: bool) -> bytes:
    """A safetensors file, many with a hostile header; where ``broken``, damaged below its tensors."""
    header = {"ss_network_dim": "4"}
    for _ in range(rng.choice((0, 1, 1, 3))):
        header |= headers.hostile(rng.choice(headers.KEYS), rng.choice(list(headers.TEXTS)))
    content = save({key: tensor.contiguous() for key, tensor in tensors.items()}, header)
    return rng.choice(BREAKAGES)(rng, content) if broken else content


def _header(content: bytes) -> tuple[dict, bytes]:
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def _with_header(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _offsets(rng: random.Random, content: bytes) -> bytes:
    header, data = _header(content)
    entry = header[rng.choice([key for key in header if key != "__metadata__"] or ["__metadata__"])]
    entry["data_offsets"] = rng.choice(([0, 2**62], [5, 1], [-8, 0], [0, 7], "0", None, []))
    return _with_header(header, data)


def _dtype(rng: random.Random, content: bytes) -> bytes:
    header, data = _header(content)
    entry = header[rng.choice([key for key in header if key != "__metadata__"] or ["__metadata__"])]
    entry["dtype"] = rng.choice(("F4", "F6_E2M3", "I4", "", 5, None, "\x1b[2J"))
    return _with_header(header, data)


BREAKAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    lambda rng, content: content[: rng.randrange(len(content))],
    lambda rng, content: b"",
    lambda rng, content: rng.randbytes(200),
    lambda rng, content: struct.pack("<Q", 2 ** rng.choice((20, 40, 63))) + content[8:],
    lambda rng, content: _with_header(b"{" * 500, b""),
    lambda rng, content: _with_header(b'{"\xff\xfe": 1}', b""),
    lambda rng, content: _with_header([1, 2], b""),
    lambda rng, content: _with_header({"a.lora_up.weight": {}}, b""),
    _offsets,
    _dtype,
)
