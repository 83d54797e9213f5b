"""K-LoRA Sweep: one model for each of several values. Read ``node`` first, then ``ways`` and ``listed``."""

from .node import KLoRASweep
