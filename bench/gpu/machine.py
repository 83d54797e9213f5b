"""`python -m bench.gpu.machine` with the host's interpreter: the machine in one JSON object."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from datetime import date

import torch

from tools.host.find import require_host

from ..tables import cpu


def facts() -> dict[str, str]:
    """Date, card (empty without one), driver, versions, processor; ``free``: GiB of free GPU memory."""
    found = torch.cuda.is_available()
    free = torch.cuda.mem_get_info()[0] / 2**30 if found else 0.0
    card = torch.cuda.get_device_properties(0) if found else None
    return {
        "date": str(date.today()),
        "card": f"{card.name}, {card.total_memory / 2**30:.0f} GiB, {free:.1f} free" if card else "",
        "driver": _driver(),
        "torch": torch.__version__,
        "CUDA": str(torch.version.cuda or torch.version.hip),
        "ComfyUI": _host_version(),
        "Python": platform.python_version(),
        "system": platform.system(),
        "processor": cpu(),
        "free": f"{free:.2f}",
    }


def _driver() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    ask = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    return (subprocess.run(ask, capture_output=True, text=True).stdout.split() or ["unknown"])[0]


def _host_version() -> str:
    text = (require_host().path / "comfyui_version.py").read_text()
    return next((line.split('"')[1] for line in text.splitlines() if "__version__" in line), "unknown")


if __name__ == "__main__":
    print(json.dumps(facts()))
