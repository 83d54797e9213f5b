"""Pick and Learn in the host: a round's sheet by its samplers, and one LoRA of the pictures that were picked.

Read ``node`` first, then ``job`` (all that decides), ``round`` (what comes out), ``making`` (rules onto the
model, pictures, what was learned), ``shown`` (pictures as files and for the page) and ``telling``.
"""

from .node import KLoRAPickAndLearn
