"""What the toy model of the template Try it now needs: captions without a text encoder."""

from .words import LENGTH, PAD, WIDTH, caption, condition, encode, vector, vectors
