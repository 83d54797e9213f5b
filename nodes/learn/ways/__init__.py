"""The ways of Train a Merge, by which several LoRAs become one, or get a gate.

Read ``job`` first (what is to be learned, on what, and what a way gives), then ``merging`` (one LoRA of
several) and ``gating`` (LoRAs as they are, and a gate), ``telling`` (what their reports share) and ``table``
(a row each, with its inputs).
"""

from .job import Job, Outcome, Way
from .merging import in_their_blocks
from .table import OWN, WAYS
from .telling import losses_in_words
