"""What the toy model of the template Try it now needs: captions without a text encoder."""

from __future__ import annotations

from .words import LENGTH, PAD, WIDTH, caption, condition, encode, vector, vectors

__all__ = ["LENGTH", "PAD", "WIDTH", "caption", "condition", "encode", "vector", "vectors"]
