"""Makes the host's modules importable in this process, on the CPU, without starting its server."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from .find import REPO, Host, HostError, require_host


def enter_host() -> Host:
    """Put the host first on the path and set it to the CPU; the process must run the host's interpreter."""
    host = require_host()
    if not host.runs_here():
        raise HostError(f"this needs the host's interpreter: {host.python}")
    path = str(host.path)
    if path not in sys.path:
        # First: the repository has a `nodes` folder too, and the host imports its own by that bare name.
        sys.path.insert(0, path)
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    return host


def load_pack() -> ModuleType:
    """The pack, imported as the host imports a folder of custom_nodes."""
    name = str(REPO).replace(".", "_x_")
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, REPO / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
