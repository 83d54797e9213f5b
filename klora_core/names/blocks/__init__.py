"""How strongly a LoRA works in which blocks, as a person writes it: ``down 1-3: 0, mid: 0.5, up: 1``.

Read ``strengths`` first (the text and what it says of a layer), then ``halves`` (which blocks are said to
hold the content and the style of a network), then ``known`` (whether a network has what is named).
"""

from .halves import CONTENT, PRESETS, STYLE, family_of, in_half, said_of
from .known import check_blocks, in_blocks
from .strengths import BlockStrengths, strengths_of
