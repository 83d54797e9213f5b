"""The page's maths, evaluated by node."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from klora_core.page import document as page_document
from klora_core.plan import Plan
from tests.support.page.node import Node

OLDEST = 18
_NODE = Node(Path(__file__).with_name("evaluate.mjs"))


@functools.cache
def why_not() -> str | None:
    """What is missing to run the page's modules, or None."""
    node = shutil.which("node")
    if node is None:
        return "node is not installed: the page's maths is not checked"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major = int(said.removeprefix("v").partition(".")[0])
    return None if major >= OLDEST else f"node {said} is older than {OLDEST}"


def sent(plan: Plan, steps: int, silent: Sequence[Collection[str]] = ()) -> dict[str, Any]:
    """The whole document that the page makes of what is sent to it."""
    found = page_document.for_page(plan, steps, silent)
    settings = {key: value for key, value in found.settings.items() if key != "set"}
    slots = json.loads(found.content)
    columns = {key: list(_values(column)) for key, column in slots.pop("columns").items()}
    rows = zip(*columns.values(), strict=True)
    whole = {"slots": [dict(zip(columns, row, strict=True)) for row in rows]}
    return {**slots, **json.loads(json.dumps(settings)), **whole}


def _values(column: Any) -> Iterator[Any]:
    if isinstance(column, list):
        yield from column
    else:
        for at, count in column["runs"]:
            yield from [column["values"][at]] * count


def evaluate(tasks: list[dict[str, Any]]) -> list[Any]:
    """Results of `tasks`, in order; infinities come back as text."""
    return _NODE.evaluate(tasks)
