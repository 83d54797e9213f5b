"""What layers are called: every spelling of a module in LoRA files, as ComfyUI's name of its weight.

In go a module's name as a file spells it and the shape of its change; out comes a :class:`Slot`. Read
``canonical`` first, then ``layout`` (which network a file is of), ``table`` and ``networks`` (what others
call its modules), ``base_models`` (what people call it), ``slots`` (order and blocks).
"""

from .base_models import BaseModel, base_model_of, is_understood, words_of
from .canonical import dotted, is_text_encoder, module, place
from .layout import OTHER, UNET, Layout, layout_of
from .networks import TABLES
from .slots import Slot, block, depth_key, is_attention
from .table import Placed, flat
