"""What a prompt's map costs in bytes: sent to the page, kept by the host's history and by the pack."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from ..tables import Table


def table(title: str, shown: Sequence[dict[str, Any]], content: Callable[[str], bytes]) -> Table:
    """Of what a fusing node showed in prompts that differ in a dial; ``content`` is a set's, by name."""
    rows, known = [], set()
    for name, prompts in (("first prompt", shown[:1]), (f"each of {len(shown) - 1} further", shown[1:])):
        sent = max(len(json.dumps({"klora": [each]})) for each in prompts)
        new = {each["set"] for each in prompts} - known
        known |= new
        contents = [content(each) for each in new]
        packed = sum(len(zlib.compress(each)) for each in contents)
        rows.append((name, f"{sent:,}", f"{sum(map(len, contents)):,}", f"{packed:,}"))
    return Table(
        title,
        ("case", "in event and history, bytes", "asked for, bytes", "kept, bytes"),
        tuple(rows),
        (
            "In event and history: what the node shows, as the host writes it; the history holds it for up "
            "to 10,000 prompts. Asked for: the slots' names and scores, exact, once a page. Kept: the same, "
            "packed, once for all prompts with these LoRAs.",
        ),
    )
