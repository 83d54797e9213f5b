"""A plan as an image, every pair of a folder's LoRAs, how a training goes; pictures to and from files.

Read ``selection_map`` first, ``layout`` (where things lie), ``panel``; then ``pairs`` with ``matrix``, and
``losses``; ``pixels`` are other people's pictures.
"""

from .losses import draw_losses
from .pairs import draw_pairs
from .pixels import pixels_of, write_pixels
from .selection_map import draw
