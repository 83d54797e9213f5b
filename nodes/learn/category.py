"""Where the node library shows this room's nodes: below those that a newcomer needs."""

from __future__ import annotations

CATEGORY = "K-LoRA/learn"
