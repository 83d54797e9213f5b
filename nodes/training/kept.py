"""What a training was and gave, in the host's temporary folder: an equal Run goes on, or is done at once.

The host empties that folder when it starts and when it ends.
"""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import folder_paths
import torch
from torch import Tensor

from ...klora_core import __version__

_LOG = logging.getLogger("klora")
_SUFFIX = ".pt"
_MARK = "all-there", ".txt"


def digest(model: Any, *decides: Any) -> str:
    """A name for all that decides on a training's result: the model's file and patches, and ``decides``:
    numbers, texts, tensors by their content, and what is made of them."""
    return content_of(_model(model), *decides)


def content_of(*decides: Any) -> str:
    """A name for what has no model in it, see :func:`digest`."""
    hashed = hashlib.sha256(__version__.encode())
    for each in decides:
        _add(hashed, each)
    return hashed.hexdigest()[:32]


def _model(model: Any) -> list[Any]:
    made: Any = model.cached_patcher_init or ()
    told: list[Any] = [type(model.model).__name__, str(model.model_dtype())]
    for argument in made[1] if len(made) > 1 else ():
        told.append(repr(argument) if not isinstance(argument, (dict, list)) else None)
        if isinstance(argument, str) and os.path.isfile(argument):
            file = os.stat(argument)
            told += [file.st_size, file.st_mtime_ns]
    # Patches have no content that is cheap to read; an equal Run has the very same.
    told.append(str(model.patches_uuid) if model.patches else None)
    return [*told, {key: _said(value) for key, value in model.object_patches.items()}, model.model_options]


def _said(value: Any) -> Any:
    """What other nodes put in a model's place, such as another schedule of noise: its numbers and texts."""
    if not hasattr(value, "state_dict"):
        return value
    plain = {k: v for k, v in vars(value).items() if isinstance(v, (str, int, float))}
    return [type(value).__qualname__, dict(value.state_dict()), plain]


def _add(hashed: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        hashed.update(f"tensor {plain.dtype} {tuple(plain.shape)}".encode())
        hashed.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    elif isinstance(value, Mapping):
        hashed.update(f"map {len(value)}".encode())
        for key in sorted(value, key=str):
            hashed.update(repr(key).encode())
            _add(hashed, value[key])
    elif isinstance(value, (list, tuple)):
        hashed.update(f"list {len(value)}".encode())
        for each in value:
            _add(hashed, each)
    elif is_dataclass(value) and not isinstance(value, type):
        hashed.update(type(value).__name__.encode())
        for field in fields(value):
            _add(hashed, getattr(value, field.name))
    elif value is None or isinstance(value, (str, int, float, bool)):
        hashed.update(f"{type(value).__name__} {value!r};".encode())
    else:
        # Nothing that is told by its content: never the same again.
        hashed.update(f"{type(value).__name__} {id(value)};".encode())


class Shelf:
    """A folder of the temporary one, of which the newest are kept: ``most`` of them, ``most_bytes`` in all.

    What is taken is new again.
    """

    def __init__(self, folder: str, most: int, most_bytes: int) -> None:
        self._folder, self._most, self._most_bytes = folder, most, most_bytes

    def take(self, name: str) -> dict[str, Any] | None:
        """What was kept under ``name``, None where nothing is, or nothing that can be read any more."""
        path = self.path(name)
        if not path.is_file():
            return None
        try:
            with torch.inference_mode(False):
                state = torch.load(path, map_location="cpu", weights_only=True)
            os.utime(path)
            return state
        except Exception as error:
            _LOG.warning("What an earlier Run kept can't be read (%s): it is made anew.", error)
            return None

    def keep(self, name: str, state: Mapping[str, Any]) -> None:
        """Keep ``state``: tensors, numbers, texts, lists and maps of them. A full disk is said, no error."""
        self.write(name, _SUFFIX, lambda path: torch.save(dict(state), path))

    def recall(self, name: str, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """What was kept under ``name``; made, and kept, where nothing was."""
        known = self.take(name)
        if known is not None:
            return known
        made = make()
        self.keep(name, made)
        return made

    def write(self, name: str, suffix: str, to: Callable[[Path], None]) -> None:
        """Keep what ``to`` writes, whole or not at all."""
        path = self.path(name, suffix)
        beside = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            to(beside)
            os.replace(beside, path)
            self._bound(path)
        except (OSError, RuntimeError) as error:
            _LOG.warning("What this Run gives can't be kept (%s): an equal Run makes it anew.", error)
            beside.unlink(missing_ok=True)

    def path(self, name: str, suffix: str = _SUFFIX) -> Path:
        """Where it lies, or would."""
        return Path(folder_paths.get_temp_directory()) / self._folder / f"{name}{suffix}"

    def mark(self) -> str:
        """The same for as long as nothing that was kept is gone."""
        path = self.path(*_MARK)
        try:
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(uuid.uuid4().hex, encoding="ascii")
            return path.read_text(encoding="ascii")
        except OSError:
            return uuid.uuid4().hex

    def _bound(self, newest: Path) -> None:
        files = newest.parent.glob(f"*{newest.suffix}")
        aged = sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)
        held = 0
        for count, path in enumerate(aged):
            held += path.stat().st_size
            if path != newest and (count >= self._most or held > self._most_bytes):
                path.unlink(missing_ok=True)
                self.path(*_MARK).unlink(missing_ok=True)


_TRAININGS = Shelf("klora_training", 32, 8 * 2**30)


def take(name: str) -> dict[str, Any] | None:
    """A training's state or result, see :class:`Shelf`."""
    return _TRAININGS.take(name)


def keep(name: str, state: Mapping[str, Any]) -> None:
    """Keep a training's state or result, see :class:`Shelf`."""
    _TRAININGS.keep(name, state)


def recall(name: str, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What a training gives or needs, kept or made, see :class:`Shelf`."""
    return _TRAININGS.recall(name, make)
