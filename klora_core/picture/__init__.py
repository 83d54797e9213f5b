"""A plan as an image. Read ``selection_map`` first, ``layout`` (where things lie), ``panel``."""

from .selection_map import draw
