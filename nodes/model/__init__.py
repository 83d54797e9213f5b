"""A plan onto MODEL and CLIP. Read ``apply`` first, then ``side_path`` (hooks for a run), ``warnings``
(of what a person should know, also of LoRAs that are ``carried`` already)."""

from .apply import to_clip, to_model
from .side_path import levels_of
from .warnings import NOT_SAVED, warnings_for
