"""Nodes that learn, or find what was learnt: one node a file, all in one folder of the node library."""

from .category import CATEGORY
from .pick_loras import KLoRAPickLoras
from .picking import KLoRAPickAndLearn
from .train_lora import KLoRATrainLora
from .train_merge import KLoRATrainMerge
