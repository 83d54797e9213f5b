"""Weight changes that switch during a run, on the layers of any torch module.

Read ``targets`` first, then ``composition`` (a plan's targets, and its passes on a model), ``buffers`` (what
is added at the moment), ``hooks`` (how it is put on), ``additions`` with ``kron_steps``, ``fold`` and
``remapping`` (how it is added). ``clock`` tells the moment. What a host owns is handed in as HostRules.
"""

from .buffers import Buffers
from .clock import Clock
from .composition import Attachment, Composition, compose
from .hooks import Swap, attach, attach_all, is_compiled
from .targets import HostRules, Spot, Target, Where
