"""A plan onto MODEL and CLIP. Read ``apply`` first, then ``side_path`` (hooks for a run), ``asked`` (what a
run is told to do) and ``warnings`` (of what to know first, also of LoRAs ``carried`` already).
"""

from .apply import to_clip, to_model
from .asked import supposed
from .side_path import levels_of
from .warnings import NOT_SAVED, warnings_for
