"""Gates while they are learned: the equations are those of :mod:`klora_core.deltas.gates`, with gradients.

Read ``balance`` first (MoLE's second term), then ``trained`` (MoLE on a model's layers, to a gate file) and
``mole`` (how they learn).
"""

from .balance import ALPHA, balance
from .mole import GateOptions, LearnedGates, alone_factors, gates_to_learn, mole
from .trained import Found, Strengths, TrainedGates, weighable
