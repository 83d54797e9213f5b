"""What is not the product, in the pure lane: no host, no device, tiny tensors."""

import torch

# Tiny layers gain nothing from a second thread and stall when another process shares the cores.
torch.set_num_threads(1)
