"""The published builds of the networks that ComfyUI runs, and which of them a LoRA may be of.

A LoRA's modules and the shapes of their changes go in; out come the base models that have them all. Read
``blueprint`` (how a build is written down) first, then ``found`` (how it is looked up); the builds are in
``unet``, ``streams``, ``images``, ``video`` and ``rare``.
"""

from .found import base_models
