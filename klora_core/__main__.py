"""``python -m klora_core``: the command line."""

import sys

import torch

from .cli import main

if __name__ == "__main__":
    # The tiles of a score are small: more threads gain nothing, and stall where the cores are shared.
    torch.set_num_threads(1)
    sys.exit(main())
