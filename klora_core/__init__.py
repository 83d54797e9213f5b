"""K-LoRA (Ouyang, Li, Hou, CVPR 2025, arXiv 2502.18461): the method, free of any host."""

__version__ = "0.1.0"
