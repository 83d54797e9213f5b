"""Writes the shipped workflows, so that the families differ only where they must.

`python -m tools.workflows` rewrites workflows/*.json, the same in the API format in workflows/api, and the
blueprint in subgraphs; what the nodes have is read from a running ComfyUI. The files are plain editor files:
what a user sees is what is in them, and tests load each into the real editor.
"""
