"""A plan in words. Read ``text`` first, then ``summary`` (one sentence), ``left_out`` (what is not used).

``unseen`` tells of a run which of the layers did not run in it.
"""

from .left_out import abbreviated, left_out, not_followed
from .text import text
from .unseen import unseen
