"""docs/COMPATIBILITY.md from what `make test-families` ran: nothing in it that no test has done."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .host.find import REPO, find_host

RECORDED = REPO / "build" / "families.json"
DOCUMENT = REPO / "docs" / "COMPATIBILITY.md"
Row = Mapping[str, Any]

_HEAD = """# What was run

Written by `make test-families`, which fails where a number is out of bounds: it is a list of what ran, no
promise about anything else. {versions}

The networks are tiny, a few blocks with random weights, but of ComfyUI's own classes, in its own sampler (4
steps of Euler). Each LoRA changes every linear and convolution layer. *Error*: how far the latents are from
those of a run that rewrites whole weights before every evaluation, as ComfyUI's own loader works them out in
float64, relative to their length. *Noise*: how far that run itself moves when its starting noise is changed
in the seventh digit.
"""
_FAMILIES = """
## Families

Each with a LoRA pair on all layers that run while sampling.

"""
_KINDS = """
## Kinds of adapter

The kind as the subject on all layers, a plain LoRA as the style. ComfyUI itself applies GLoRA to no kernel
and LoKr to no three-dimensional convolution: those layers were left out.

"""
_BY_HAND = """
## LoRAs by hand

Three LoRAs *as scheduled*, each with a window, a curve or blocks of its own, on all layers, under every
sampler of ComfyUI's list: a run, one in two samplers, and image to image. In float64, so that no rounding in
the network hides an error; the samplers themselves count in float32. The error is the largest of all.

"""
_SPELLINGS = """
## Spellings

Every layer of the network under the names of a trainer or library, by the node and by the command line: each
change arrives at its module and rows.

"""
_PRECISIONS = """
## Precisions

The error beside that of the same weights rewritten in this precision, which is what a loader that patches
weights does. Eight bits and fewer: matrices alone, computed in float32; nothing is rewritten, so nothing is
rounded again. GGUF (by ComfyUI-GGUF's own loader) and INT8 (whose layers round their inputs, too):
*rewritten* is there how far the model alone is from the same numbers in float32.

"""


def document(rows: Sequence[Row], versions: str) -> str:
    """The page for recorded rows."""
    parts = [_HEAD.format(versions=versions)]
    parts += [_FAMILIES, *_table(("family", "layers", "error", "noise"), _of(rows, "family"))]
    parts += [_SPELLINGS, *_table(("network", "spelling", "prefixes", "modules"), _of(rows, "spelling"))]
    parts += [_KINDS, *_table(("kind", "family", "layers", "error", "noise"), _of(rows, "kind"))]
    parts += [_BY_HAND, *_table(("family", "samplers", "error"), _of(rows, "by hand"))]
    parts += [_PRECISIONS, *_table(("precision", "family", "error", "rewritten"), _of(rows, "precision"))]
    return "".join(parts)


def _of(rows: Iterable[Row], part: str) -> list[Row]:
    return [row for row in rows if row["part"] == part]


def _table(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |\n", "|" + " --- |" * len(columns) + "\n"]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |\n" for row in rows]
    return lines


def _cell(value: Any) -> str:
    return f"{value:.0e}" if isinstance(value, float) else str(value)


def _versions() -> str:
    host = find_host()
    found = (host.path / "comfyui_version.py").read_text() if host else ""
    version = re.search(r'__version__ = "(.+)"', found)
    import torch

    return (
        f"ComfyUI {version[1] if version else 'unknown'}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, on the CPU."
    )


def main() -> None:
    """Write the page."""
    DOCUMENT.write_text(document(json.loads(RECORDED.read_text()), _versions()), encoding="utf-8")
    print(f"{DOCUMENT.relative_to(REPO)} written.")


if __name__ == "__main__":
    main()
