"""LoRAs that are trained so that they can be fused: what each method adds to an ordinary training.

Read ``training`` first (a new LoRA, and what a method has a say in), then ``coto`` (blocks that are off),
``beams`` (ranks that are copied over others), ``smora`` (ranks that are chosen), ``unzip`` with ``halves``
(two LoRAs of one picture) and ``table`` (all of them). ``mergers`` makes UnZipLoRA's published files whole.
"""

from .mergers import with_mergers
from .table import METHODS, TrainMethod
from .training import Method, Plan, Shown, Sizes, copies_of, error, terms
from .unzip import HALVES
