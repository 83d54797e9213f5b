"""Makes the host's modules importable in this process, on the CPU, without starting its server."""

from __future__ import annotations

import sys

from .host import Host, HostError, require_host


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
