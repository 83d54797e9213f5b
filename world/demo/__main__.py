"""`make demo`: subject, style, plain sum and K-LoRA side by side, from nothing but this repository.

With a ComfyUI on the machine its own loaders, sampler and the pack's node make the pictures; without one
diffusers and the pack's core make the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

from tools.host.find import LOOKED_IN, REPO, Host, HostError, find_host

from .sheet import sheet

OUT = REPO / "demo"
FILES = {
    "sheet.png": "subject | style | plain sum | K-LoRA, and who worked where",
    "selection-map.png": "K-LoRA's choices",
    "report.txt": "in words",
    "plan.json": "as data",
    "pictures.safetensors": "every picture, by pair and way",
    "latents.safetensors": "the latents that they were decoded from",
}
_NO_HOST = (
    f"No ComfyUI found (looked in {LOOKED_IN}), so diffusers made these. For the real page: `make host` "
    "installs ComfyUI, or point COMFYUI_PATH at one."
)


def _make(host: Host | None) -> None:
    """The pictures, in a process of the interpreter that can."""
    module, python = ("in_comfy", host.python) if host else ("in_diffusers", sys.executable)
    command = [str(python), "-m", f"world.demo.{module}", str(OUT)]
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    done = subprocess.run(command, cwd=REPO, env=os.environ | threads, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise HostError(f"world.demo.{module} failed: {lines[-1]} (for all of it: {' '.join(command)})")


def main() -> int:
    """Leave the demo's files in demo/ and say where; the exit status."""
    began = time.monotonic()
    try:
        host = find_host()
        where = f"ComfyUI ({host.path})" if host else "diffusers"
        print(f"Making the pictures with {where} ...", flush=True)
        shutil.rmtree(OUT, ignore_errors=True)
        _make(host)
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    sheet(OUT, "ComfyUI" if host else "diffusers").save(OUT / "sheet.png")
    print((OUT / "report.txt").read_text(encoding="utf-8").rstrip())
    print(f"\nDone in {time.monotonic() - began:.0f} s:")
    for name, what in FILES.items():
        print(f"  {os.path.relpath(OUT / name)}  {what}")
    if host is None:
        print(_NO_HOST)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
