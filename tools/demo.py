"""`make demo`: one fused image, its selection map and report, from nothing but this repository.

With a ComfyUI on the machine, the shipped SD1.5 workflow is executed by the real server on a tiny random
checkpoint. Without one, the same pair is planned and drawn by the host-free command line.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

from . import tiny
from .api_format import to_api
from .host import LOOKED_IN, REPO, HostError, find_host
from .server import PromptRefused, Run, Server, ServerError, serving
from .tiny import loras
from .tiny.prompts import shrink

OUT = REPO / "demo"
WORKFLOW = REPO / "workflows" / "k-lora-sd15.json"
STEPS, SIDE = 30, 192
_EXPLAIN = "The checkpoint is tiny and random, so the image is abstract; the fusion in it is real."
_NO_HOST = f"No ComfyUI found (looked in {LOOKED_IN}); for the image too, point COMFYUI_PATH at one."


def _only(prompt: dict[str, dict], kind: str) -> str:
    return next(key for key, node in prompt.items() if node["class_type"] == kind)


def _keep(server: Server, run: Run, prompt: dict[str, dict]) -> None:
    for kind, name in (("SaveImage", "image.png"), ("PreviewImage", "selection-map.png")):
        (OUT / name).write_bytes(server.image(run.images(_only(prompt, kind))[0]))
    (OUT / "report.txt").write_text("\n".join(run.texts(_only(prompt, "PreviewAny"))) + "\n")
    (plan,) = run.outputs[_only(prompt, "KLoRAFuse")]["klora"]
    parsed = json.loads(plan) if isinstance(plan, str) else plan
    (OUT / "plan.json").write_text(json.dumps(parsed, indent=1) + "\n")


def in_host() -> None:
    """Execute the shipped workflow in the real server; keep what it shows."""
    with serving("sd15") as server:
        print(f"ComfyUI at {server.host.path} is up; running {WORKFLOW.relative_to(REPO)} ...", flush=True)
        prompt = shrink(to_api(json.loads(WORKFLOW.read_text()), server.object_info()), STEPS, SIDE)
        run = server.run(prompt)
        if run.error:
            raise ServerError(f"{run.error.get('node_type')}: {run.error.get('exception_message')}")
        _keep(server, run, prompt)


def host_free() -> None:
    """Plan, report and draw the tiny pair without a host."""
    loras.ensure(["sd15"])
    pair = [str(tiny.model_path("loras", f"tiny-{role}-sd15.safetensors")) for role in ("subject", "style")]
    files = ["--json", str(OUT / "plan.json"), "--plot", str(OUT / "selection-map.png")]
    command = [sys.executable, "-m", "klora_core", "report", *pair, "--steps", str(STEPS), *files]
    report = subprocess.run(command, cwd=REPO, check=True, stdout=subprocess.PIPE, text=True).stdout
    (OUT / "report.txt").write_text(report)


def _tell(files: dict[str, str], seconds: float) -> None:
    print((OUT / "report.txt").read_text().rstrip())
    print(f"\nDone in {seconds:.0f} s:")
    for name, what in files.items():
        print(f"  {os.path.relpath(OUT / name)}  {what}")


def main() -> int:
    """Leave the demo's files in demo/ and say where; the exit status."""
    began = time.monotonic()
    files = {"selection-map.png": "which LoRA won where", "report.txt": "in words", "plan.json": "as data"}
    try:
        host = find_host()
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir()
        if host:
            in_host()
            files = {"image.png": "the fused image"} | files
        else:
            host_free()
    except (HostError, ServerError, PromptRefused) as error:
        print(error, file=sys.stderr)
        return 1
    _tell(files, time.monotonic() - began)
    print(_EXPLAIN if host else _NO_HOST)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
