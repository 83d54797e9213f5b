"""LoRA files: tensors by name in, changes by slot out, and what is left with the reason.

Read ``together`` first (the doors), ``lora_file``, then ``reading`` (tensors to modules), ``keys`` (their
names), ``change`` with ``kinds`` and ``adapters`` (what a module's tensors make), ``with_weights`` (kinds
that need the layer's own weight). ``learned`` is what was trained to be run: gates, and LoRAs with chosen
ranks. ``header`` tells what a file says without its numbers, ``torch_file`` reads what torch saved, ``left``
is what is not applied, ``values`` what is wrong with a tensor.
"""

from .change import Change
from .fused import unfused
from .header import captions, changes, filed_under, read_header, trigger_words, utf8_path
from .keys import is_adapter, split
from .left import MERGE_TEXT_REASON, MISSING_REASON, TEXT_REASON, Left, What, grouped, told_once
from .lora_file import LoraFile
from .reading import Module, Vector, check_layout, read_tensors
from .together import Settling, from_tensors, open_lora, read, read_all, settle, swap_order, swapped
from .torch_file import SUFFIXES, Stored, is_torch_file, read_torch
from .values import few_misfits, misfit, strange, twice, unlike
from .with_weights import bound, hindered
