"""What learns on a model: columns and rows of merged LoRAs, gates, and LoRAs that are to be fused.

Read ``loop`` first (how anything is learned), then ``items`` and ``answers`` (from what, and what a model has
to do), ``chains`` and ``layers`` (how changes with gradients get onto its layers), ``blocks`` and
``counting`` (what they cost in memory), ``weighted`` (LoRAs side by side, and how they become one). The
merges are ``taught``, ``zip_lora`` and ``calibrated``; ``gates`` learn who works by the input, ``picks`` is
what a person picked for ``taught``.
"""

from .answers import Known, distance, known, targets
from .blocks import Checkpointed, blocks
from .calibrated import calibrated
from .chains import added, inner, outer
from .counting import Held, held
from .items import Copy, Item, Model, Noised, copies, drawn, noised, together
from .layers import Change, Changes, Layers
from .loop import Callback, Group, Keep, Loop, Pace, State, Terms
from .taught import SIDES, Learned, Options, begun, taught
from .weighted import Factors, Weighted, alone, at_strengths, energy_shares, factored, learned, parameters
from .zip_lora import ZipOptions, overlap, zip_lora
