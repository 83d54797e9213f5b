"""Methods whose weights depend on what a layer is given: the picture decides, a run shows what it was.

Read ``by_input`` first (what they tell), ``parts`` (the change of each slot), then ``arrow`` and ``mole``
(gates from LoRAs, or from LoRAs and a trained file), and ``ran`` (what the gates of a run were).
"""

from .arrow import ArrowRouting, arrow_routing
from .by_input import PICTURE_DECIDES, ByInput
from .mole import TrainedGate, check_loras, trained_gate
from .parts import apart, check_ranks
from .ran import Ran
