"""Other node packs that K-LoRA is tried beside, where a folder with some is named."""

from __future__ import annotations

import os
from pathlib import Path

from .find import HostError

NAMED_IN = "KLORA_OTHER_PACKS"


def folders() -> list[Path]:
    """The packs in the folder that KLORA_OTHER_PACKS names, none where it names nothing.

    Raises HostError where it names no folder of packs.
    """
    named = os.environ.get(NAMED_IN, "").strip()
    if not named:
        return []
    found = sorted(path.parent for path in Path(named).expanduser().glob("*/__init__.py"))
    if not found:
        raise HostError(f"{NAMED_IN} names {named}, where no node pack is.")
    return found
