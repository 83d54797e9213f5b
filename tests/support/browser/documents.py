"""Documents as the server sends them, of methods that the page has never heard of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

DARK = {
    "background": "#14161b",
    "panel": "#1d2027",
    "band": "#2a2e38",
    "muted": "#a2a8b4",
    "text": "#eef0f4",
    "cursor": "#ffffff",
    "cursorRim": "#14161b",
}
LIGHT = DARK | {
    "background": "#ffffff",
    "panel": "#eceef2",
    "band": "#e0e3ea",
    "muted": "#545b68",
    "text": "#16181d",
}
CANDIDATES = [
    {"label": "subject", "letter": "c", "dark": "#fbc14e", "light": "#fbc14e"},
    {"label": "style", "letter": "s", "dark": "#2b6ab3", "light": "#2b6ab3"},
    {"label": "lighting", "letter": "l", "dark": "#3fa37c", "light": "#3fa37c"},
]


def recorded(
    who: Callable[[int, int, int], int],
    *,
    candidates: int = 2,
    passes: int = 1,
    blocks: Sequence[tuple[str, str, int]] = (("down", "input_blocks", 4), ("up", "output_blocks", 6)),
    steps: int = 30,
    method: str = "In turn",
) -> dict[str, Any]:
    """A document whose choices are `who(slot, column, pass)`: a candidate, or -1 for nobody.

    `blocks` are (group, first part of the names, how many) with four slots each.
    """
    letters = "".join(candidate["letter"] for candidate in CANDIDATES)
    names = [
        (f"{root}.{i}.1.attn1.{part}", group, f"{group} {i}")
        for group, root, count in blocks
        for i in range(count)
        for part in ("to_q", "to_k", "to_v", "to_out.0")
    ]
    slots = [
        {
            "name": name,
            "shape": [64, 64],
            "group": group,
            "block": block,
            "choice": "/".join(
                "".join("-" if (w := who(slot, column, each)) < 0 else letters[w] for column in range(steps))
                for each in range(passes)
            ),
        }
        for slot, (name, group, block) in enumerate(names)
    ]
    return {
        "schema": "klora-plan/1",
        "method": {"name": method, "paper": "", "live": False},
        "progress": {"mode": "auto"},
        "steps": steps,
        "passes": passes,
        "loras": [{"name": one["label"], "role": one["label"]} for one in CANDIDATES[:candidates]],
        "candidates": CANDIDATES[:candidates],
        "facts": ["odd slots subject, even slots style"],
        "slots": slots,
        "unmatched": {"subject": [], "style": [], "applied": True, "notes": []},
        "page": {"palette": {"dark": DARK, "light": LIGHT}, "defaults": {}, "steps": 30, "said": []},
    }
