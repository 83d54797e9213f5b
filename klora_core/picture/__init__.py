"""A plan as an image, and every pair of a folder's LoRAs.

Read ``selection_map`` first, ``layout`` (where things lie), ``panel``; then ``pairs`` with ``matrix``.
"""

from .pairs import draw_pairs
from .selection_map import draw
