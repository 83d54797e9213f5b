"""LORA_MODELs in; slots, patches and what is left out, as a model of the host understands them.

Read ``host_lora`` first (what comes out), then ``read``, with ``patches`` (what ordinary patches carry),
``errors`` and ``notes`` (words), ``file`` (of the loras folder), ``info`` (what a file says of itself),
``preview`` (the picture beside it) and ``proof`` (that tensors still hold what they held).
"""

from .file import LoraStateDict, load, name_of, stamp
from .host_lora import HostLora
from .info import of_lora, serve_info
from .notes import notes
from .preview import serve_previews
from .read import read
