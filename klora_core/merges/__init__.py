"""LoRAs to one LoRA, once: rows of LoRAs in, factors of rank r by slot out, saved as an ordinary file.

Read ``merge`` first, then ``method`` (what a merge method is), ``table`` (all of them) and one of their
files, ``sums`` the shortest. ``low_rank`` is the linear algebra, ``saving`` the file; ``columns`` are merges
that were learnt elsewhere.
"""

from .columns import METHODS as COLUMN_METHODS
from .columns import ColumnMethod
from .low_rank import factors
from .merge import Merged, merge
from .method import MergeMethod, Parameter, Value
from .saving import DTYPES, check_suffix, metadata, save, state_dict
from .table import METHODS, named, parameters
