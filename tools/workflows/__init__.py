"""Writes the shipped workflows, so that the three families differ only where they must.

`python -m tools.workflows` rewrites workflows/*.json. They are plain editor files: what a user sees is what
is in them, and tests load each into the real editor.
"""
