"""The host, ComfyUI, as the nodes need it: names and weights of its models, its server, its device.

Read ``names`` first (where a LoRA's modules belong) with ``text_encoders``, then ``base_model``, ``weights``
and ``rules`` (what a loaded model is, and what its layers do) with ``calls`` (how the host comes to call
them), ``scoring`` (on its device), ``folders`` and ``file_memo`` (which files there are, what they say) and
``page`` (what the page gets).
"""

from .base_model import known_model, of_file, of_model
from .file_memo import FileMemo
from .folders import listed, place_of
from .names import PREFIX, SUFFIX, HostWeight, Network, layers_of, row_order
from .page import announce, announce_gates, announce_picture, announce_unseen, keep_set, serve, serve_page
from .rules import RULES
from .scoring import energies, kept_folder, scores
from .text_encoders import TextEncoders
from .weights import LayerWeights
