"""The host side of learning: a model of its own to learn on, predictions through the host, and what is kept.

Read ``second_model`` first (a model that nobody else has), then ``on_host`` (what klora_core.train asks of a
model) with ``conditions`` (prompts as the network takes them), ``memory`` (counted before it is taken) and
``pictures`` (that LoRAs make alone, and given ones).
``new_lora`` is what a new LoRA is trained on, ``learned`` trains it, ``kept`` is what an equal Run goes on
from, ``progress`` what the node shows.
"""

from .conditions import without_hooks
from .kept import Shelf, content_of, digest, keep, recall, take
from .learned import Course, Learned, learn
from .memory import Needs, amount, check_weights, counted
from .new_lora import LAYERS, caption, has_masks, items, kernels, sizes
from .on_host import OnHost, on_host
from .pictures import Sampling, as_seen, given, own_pictures, sampled
from .progress import Steps
from .second_model import check, second_model
