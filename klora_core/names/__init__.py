"""What layers are called: every spelling of a module in LoRA files, as ComfyUI's name of its weight.

In go a module's name as a file spells it and the shape of its change; out comes a :class:`Slot`. Read
``canonical`` first, then ``table`` and ``networks`` (what others call a network's modules), ``slots`` (order
and blocks), ``sign_table`` (what tells the layout of a file) with ``layout``, which looks it up, ``bases``
(base models by name), ``blocks`` (a strength for each block); ``known`` tells what is no network's.
"""

from .bases import BaseModel, base_model_of, base_texts, is_understood, words_of, wrapper_of
from .blocks import CONTENT, STYLE, BlockStrengths, family_of, in_blocks, in_half, said_of, strengths_of
from .canonical import dotted, module, place
from .fused import FUSED, Part, is_fused, parts_of
from .known import is_open, strangers
from .layout import Layout, layout_of
from .networks import TABLES, is_numbered, numbered
from .prefixes import unwrapped
from .sign_table import OTHER, UNET
from .slots import Slot, block, depth_key, is_attention, reads_text, transformer_block
from .table import Placed, flat
from .text import TextModule, is_text_encoder, text_module
