"""LoRAs over time: who works where at which moment. Plain data, which holds no tensors but those of gates.

Read ``method`` first (what a method has to tell), then ``table`` (all of them) and ``making`` (each from its
settings), then a method: ``turns``, ``passes``, ``b_lora``, ``np_lora``, the rooms ``klora``, ``gates`` and
``hand``.
"""

from . import making
from .b_lora import BLora
from .hand import ALWAYS, AsScheduled, When
from .making import Given, Make
from .method import NOBODY, Fact, Method
from .np_lora import DEFAULT_MU, NpLora
from .passes import CmLora, LoraComposite
from .table import METHODS, Entry
from .turns import DEFAULT_TAU, ORDERS, LoraSwitch, Turns
from .whole import Presence
