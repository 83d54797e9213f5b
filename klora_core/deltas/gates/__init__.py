"""Weights that depend on a layer's input: the ranks of LoRAs times f(x), worked out in rank space.

Read ``gate`` first (what every kind tells, and pooling), then ``mole``, ``arrow`` and ``smora`` (equations,
each by its paper), and ``gated`` (the change of a layer). Nothing of the size [tokens, N out] is ever made.
"""

from .arrow import Arrow, leading
from .gate import (
    EVEN,
    LEAST_TAU,
    PICTURE,
    POOLS,
    TOKEN,
    TOTALS,
    Gate,
    check_settings,
    gates_of,
    owners,
    pooled,
    total_of,
)
from .gated import Gated, is_gated
from .mole import Mole, gram, scores, toward
from .smora import Ranks, routed
