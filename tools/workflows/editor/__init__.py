"""Workflows in the editor's format: nodes on a canvas, laid out, with what the host says of each node."""
