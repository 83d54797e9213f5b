"""A plan on a model that no host owns: any torch pipeline's unet or transformer.

Read ``fusion`` first (a run), then ``places`` (where a model keeps what slots name), ``fitting`` (a LoRA file
fitted to a model), ``schedulers`` (the step that a scheduler is at) and ``learning`` (a merge learned on it).
"""

from .fitting import fit
from .fusion import Fusion
from .learning import teach
from .places import Layers, layers_of
