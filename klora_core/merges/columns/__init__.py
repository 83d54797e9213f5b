"""Merges whose coefficients were learnt elsewhere and lie in a file: file and LoRAs in, a merge method out.

Read ``method`` (what such a merge is) first, then ``zip_lora``.
"""

from .method import ColumnMethod
from .zip_lora import METHODS
