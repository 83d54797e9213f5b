"""Base models by the names that people call them: from a LoRA's layers, and from the text in its file.

Read ``base_models`` first; ``builds`` are the published networks, ``unsized`` tells by names alone where no
build has the layers, ``said`` what trainers write.
"""

from .base_models import BaseModel, base_model_of, is_understood, words_of, wrapper_of
from .said import base_texts
