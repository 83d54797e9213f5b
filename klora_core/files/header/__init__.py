"""What a file's header tells: text by key and shapes by tensor in, scales, sizes and words out.

``shapes`` has the sizes of changes without a look at their numbers, ``scales`` what PEFT's settings say of
LoRAs without alphas, ``trigger_words`` the words that a LoRA was trained on, ``captions`` what its pictures
show; both from ``trained``, the folders of pictures.
"""

from .captions import captions, filed_under
from .scales import Scales
from .shapes import changes, read_header, utf8_path
from .trigger_words import trigger_words
