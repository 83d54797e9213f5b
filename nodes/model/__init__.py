"""A plan onto MODEL and CLIP. Read ``apply`` first, then ``side_path`` (hooks for a run), ``warnings``."""

from .apply import to_clip, to_model
from .side_path import levels_of
from .warnings import NOT_SAVED, warnings_for
