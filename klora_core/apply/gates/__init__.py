"""Rank rows times f(x): ``adding`` puts a gated change onto a layer, ``record`` keeps what gates gave."""

from .adding import Hear, gated_addition, unheard
from .record import Record, mean_gates
