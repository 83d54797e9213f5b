"""Weight changes that switch during a run, on the layers of any torch module.

Buffers hold what is added in each place at the moment; hooks add it. Nothing here knows a host: what it owns
is handed in as :class:`HostRules`.
"""

from __future__ import annotations

from .buffers import NOBODY, Buffers, Target
from .fold import HostRules
from .hooks import attach, attach_all

__all__ = ["NOBODY", "Buffers", "HostRules", "Target", "attach", "attach_all"]
