"""Files of the host's model folders, by the names that widgets, stacks and the page have of them."""

from __future__ import annotations

import os

import folder_paths


def place_of(folder: str, name: str) -> tuple[str, str] | None:
    """(path, name in the folder) of a file of the host's ``folder``, None where there is none.

    Some stacks hold whole paths: they count where they lie in the folder.
    """
    if os.path.isabs(name):
        for root in folder_paths.get_folder_paths(folder):
            for base in (root, os.path.realpath(root)):
                if (inside := _inside(name, base)) is not None and os.path.isfile(name):
                    return name, inside
    path = folder_paths.get_full_path(folder, name)
    return None if path is None else (path, name)


def listed(folder: str, name: str) -> str | None:
    """The path of a file that the host offers in ``folder``: of a kind that belongs there."""
    suffixes = folder_paths.folder_names_and_paths[folder][1]
    if not folder_paths.filter_files_extensions([name], suffixes):
        return None
    return folder_paths.get_full_path(folder, name)


def _inside(path: str, root: str) -> str | None:
    try:
        relative = os.path.relpath(path, root)
    except ValueError:  # Another drive.
        return None
    return None if relative.split(os.sep)[0] == os.pardir else relative
