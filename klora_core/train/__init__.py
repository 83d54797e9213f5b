"""What learns on a model: columns and rows of merged LoRAs, gates, and LoRAs that are to be fused.

Read ``loop`` first (how anything is learned), then ``items`` (from what, and what a model has to do),
``chains`` and ``layers`` (how changes with gradients get onto its layers), ``blocks`` (what they cost in
memory), ``weighted`` (LoRAs side by side, and how they become one). ``gates`` learn who works by the input.
"""

from .blocks import Checkpointed, blocks
from .chains import added, inner, outer
from .items import Copy, Item, Model, Noised, copies, drawn, noised, together
from .layers import Change, Changes, Layers
from .loop import Callback, Group, Loop, Pace, State, Terms
from .weighted import Factors, Weighted, alone, at_strengths, factored
