"""The host side of learning: a model of its own to learn on, predictions through the host, and what is kept.

Read ``second_model`` first (a model that nobody else has), then ``on_host`` (what klora_core.train asks of a
model) with ``conditions`` (prompts as the network takes them), ``memory`` (counted before it is taken).
"""

from .on_host import OnHost, on_host
from .second_model import second_model
