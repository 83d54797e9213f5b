"""A plan as an image, every pair of a folder's LoRAs, and how a training goes.

Read ``selection_map`` first, ``layout`` (where things lie), ``panel``; then ``pairs`` with ``matrix``, and
``losses``.
"""

from .losses import draw_losses
from .pairs import draw_pairs
from .selection_map import draw
