"""A plan on a model that no host owns: any torch pipeline's unet or transformer.

Read ``fusion`` first (a run), then ``places`` (where a model keeps what slots name), ``fitting`` (a LoRA file
fitted to a model) and ``schedulers`` (the step that a scheduler is at).
"""

from .fitting import fit
from .fusion import Fusion
from .places import Layers, layers_of
