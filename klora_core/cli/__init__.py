"""The command line, ``python -m klora_core``: ``main``, and a file for each command."""

from .main import main
