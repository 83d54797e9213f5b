"""Weight changes that switch during a run, on the layers of any torch module.

Read ``targets`` first, then ``composition`` (a plan's targets, and its passes on a model), ``buffers`` (what
is added at the moment), ``hooks`` and ``doors`` (how it is put on), ``forms``, ``additions`` with
``kron_steps``, ``fold``, ``remapping`` and ``gates`` (how it is added). ``clock`` tells the moment,
``witness`` which layers ran. What a host owns is handed in as HostRules.
"""

from .buffers import Buffers
from .clock import Clock, Run
from .composition import Attachment, Composition, compose
from .doors import Swap, is_compiled
from .gates import Record, mean_gates
from .hooks import attach_all
from .targets import Gate, HostRules, Spot, Target, Where
from .witness import unseen_by_all
