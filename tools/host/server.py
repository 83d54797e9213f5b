"""A real ComfyUI server, started headless in a folder of its own, with this pack installed in it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .find import Host

_START_SECONDS = 180
_RUN_SECONDS = 300
_STOP_SECONDS = 30
_FAILURES = ("execution_error", "execution_interrupted")


class ServerError(RuntimeError):
    """The server did not start, died, or took too long."""


class PromptRefused(RuntimeError):
    """The server did not accept the prompt; `answer` is its JSON."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(json.dumps(answer, indent=1))
        self.answer = answer


@dataclass(frozen=True)
class Run:
    """One executed prompt: outputs by node id, and the failing node's error if it failed."""

    prompt_id: str
    outputs: dict[str, Any]
    error: dict[str, Any] | None = field(default=None)

    def texts(self, node_id: str) -> list[str]:
        """The texts that a node showed."""
        return list(self.outputs.get(node_id, {}).get("text", []))

    def images(self, node_id: str | None = None) -> list[dict[str, str]]:
        """Names of the images that a node (or every node) showed or saved."""
        shown = [self.outputs.get(node_id, {})] if node_id else self.outputs.values()
        return [image for output in shown for image in output.get("images", [])]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Context manager: `with Server(host, base) as server: server.run(prompt)`."""

    def __init__(self, host: Host, base: Path, front_end: Path | None = None) -> None:
        self.host, self.base, self.front_end = host, base, front_end
        self.log = base / "server.log"
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        command = [str(self.host.python), "main.py", "--cpu", "--port", self.url.rsplit(":", 1)[1]]
        command += ["--base-directory", str(self.base), "--disable-auto-launch", "--disable-api-nodes"]
        if self.front_end is not None:
            command += ["--front-end-root", str(self.front_end)]
        # A database of its own: the user's must not see tests.
        command += ["--database-url", "sqlite:///:memory:"]
        # PYTHONPATH would put this repository's folders before the host's modules of the same names.
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        leash = [sys.executable, str(Path(__file__).with_name("leash.py"))]
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C is for us, and the leash may end the whole group.
            self._process = subprocess.Popen(
                [*leash, *command],
                cwd=self.host.path,
                env=env,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._await_start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and whatever it started."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin:
                process.stdin.close()
            process.wait(_STOP_SECONDS)

    def _tail(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _check_alive(self) -> None:
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"the ComfyUI server ended. Its last lines:\n{self._tail()}")

    def _await_start(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self._check_alive()
            with contextlib.suppress(OSError):
                self.get("/system_stats")
                return
            time.sleep(0.3)
        raise ServerError(f"the ComfyUI server did not start in {_START_SECONDS} s:\n{self._tail()}")

    def _open(self, path: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def get(self, path: str) -> Any:
        """GET a path and parse its JSON."""
        return json.loads(self._open(path))

    def object_info(self) -> dict[str, Any]:
        """Every node's definition."""
        return self.get("/object_info")

    def queue(self, prompt: dict[str, Any]) -> str:
        """Queue an API-format prompt and return its id; PromptRefused if validation rejects it."""
        body = json.dumps({"prompt": prompt, "client_id": str(uuid.uuid4())}).encode()
        try:
            answer = json.loads(self._open("/prompt", body))
        except urllib.error.HTTPError as error:
            raise PromptRefused(json.loads(error.read())) from None
        if answer.get("node_errors"):
            raise PromptRefused(answer)
        return str(answer["prompt_id"])

    def wait(self, prompt_id: str, seconds: float = _RUN_SECONDS) -> Run:
        """Wait for a queued prompt to end, well or badly."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._check_alive()
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry:
                messages = entry.get("status", {}).get("messages", [])
                errors = [data for kind, data in messages if kind in _FAILURES]
                return Run(prompt_id, entry.get("outputs", {}), errors[0] if errors else None)
            time.sleep(0.1)
        raise ServerError(f"prompt {prompt_id} did not end in {seconds} s:\n{self._tail()}")

    def run(self, prompt: dict[str, Any], seconds: float = _RUN_SECONDS) -> Run:
        """Queue a prompt and wait for its end."""
        return self.wait(self.queue(prompt), seconds)

    def interrupt(self) -> None:
        """Stop the prompt that is running."""
        self._open("/interrupt", b"{}")

    def image(self, shown: dict[str, str]) -> bytes:
        """The file behind one of Run.images()."""
        return self._open("/view?" + urllib.parse.urlencode(shown))
