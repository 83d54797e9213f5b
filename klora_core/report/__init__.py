"""A plan in words. Read ``text`` first, then ``summary`` (one sentence), ``left_out`` (what is not used)."""

from .left_out import abbreviated, left_out
from .text import text
