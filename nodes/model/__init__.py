"""A plan onto MODEL and CLIP. Read ``apply`` first, then ``side_path`` (hooks for a run), ``asked`` (what a
run is told to do), ``warnings`` (of what to know, also of LoRAs ``carried`` already), ``saving`` ``seen``
and ``gates`` (what a run showed).
"""

from .apply import to_clip, to_model
from .asked import supposed
from .gates import with_run
from .saving import NOT_SAVED
from .seen import unseen_before
from .side_path import levels_of
from .warnings import warnings_for
